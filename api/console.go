package api

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/eiderdb/eider"
)

// The console and the API page: plain files, nothing from elsewhere.
//
//go:embed console
var consoleFiles embed.FS

// policy lets the pages load their own files and call their own origin, and
// nothing else. Inline scripts and styles do not run.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

var fileTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// consolePage serves /ui and the files below it.
func consolePage(c *call) error {
	name := strings.TrimPrefix(c.path("*"), "/")
	if name == "" {
		if strings.HasSuffix(c.r.URL.Path, "/") {
			// The page's links are relative to /ui.
			http.Redirect(c.w, c.r, "../ui", http.StatusPermanentRedirect)
			return nil
		}
		name = "ui.html"
	}
	return c.file(name)
}

// docsPage serves /docs, which draws /openapi.json with the console's files.
func docsPage(c *call) error { return c.file("docs.html") }

// file sends one of the embedded files.
func (c *call) file(name string) error {
	kind, ok := fileTypes[path.Ext(name)]
	if !ok || !fs.ValidPath(name) {
		return &problem{Code: eider.CodeNotFound, Detail: "there is no such file"}
	}
	body, err := consoleFiles.ReadFile("console/" + name)
	if err != nil {
		return &problem{Code: eider.CodeNotFound, Detail: "there is no such file"}
	}
	h := c.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	c.w.WriteHeader(http.StatusOK)
	c.w.Write(body)
	return nil
}
