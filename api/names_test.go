package api

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// hostileNames are 200 names that try to leave the place they name: dots,
// separators, escapes, look-alikes, NUL, devices.
func hostileNames() []string {
	base := []string{".", "..", "...", "../x", "..\\x", "/etc/passwd", "\\\\host\\share", "C:\\x", "C:x", "~", "~root", "-", "a b", "a\x00b", "a\nb", "a\tb",
		"CON", "NUL", "aux.txt", "com1", "a.", "a..b", "a/b", "a\\b", "a:b", "a*", "a?", "a|b", "<a>", "\"a\"", "'a'", "%2e%2e", "%2e%2e%2f", "%252e", "%00",
		"．．", "‥", "／x", "a⁄b", "a∕b", "a\u202eb", "\ufeffa", "é", "ß", "ſ", "K", "ı", "A", "Films", "a,b", "a;b", "a&b", "a=b", "a#b", "{a}", "[a]", "$a", "`a`",
		"a.json", "x.sst", "LOCK", "MANIFEST", strings.Repeat("a", 65), strings.Repeat("../", 20) + "etc/passwd", "", " "}
	var out []string
	for _, b := range base {
		out = append(out, b, "a/"+b, b+"/..")
	}
	for i := 0; len(out) < 200; i++ {
		out = append(out, fmt.Sprintf("..%c%d", 0x2f+i, i))
	}
	return out
}

func treeSum(t *testing.T, dir string) string {
	h := sha256.New()
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintln(h, p, e.Type())
		if e.Type().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			h.Write(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// TestNoNameLeavesItsDirectory is S9: hostile names through every route that
// takes one, as a path segment and as JSON, with the files around the snapshot
// directory hashed before and after.
func TestNoNameLeavesItsDirectory(t *testing.T) {
	outer := t.TempDir()
	for _, d := range []string{"before", "snaps", "etc"} {
		if err := os.Mkdir(filepath.Join(outer, d), 0o755); err != nil {
			t.Fatal(err)
		}
		if d != "snaps" {
			if err := os.WriteFile(filepath.Join(outer, d, "passwd"), []byte("secret of "+d), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := treeSum(t, outer)
	db := memory(t)
	shop(t, db, 1)
	h := handler(t, db, func(o *Options) { o.Snapshots = filepath.Join(outer, "snaps") })
	tried := 0
	for _, rt := range table(t, db) {
		for _, m := range pathNames.FindAllStringSubmatch(rt.path, -1) {
			p := m[1]
			if p == "id" {
				continue
			}
			for _, name := range hostileNames() {
				if names[p].ok(name) {
					continue // harmless where it stands
				}
				path := concrete(strings.Replace(rt.path, "{"+p+"}", url.PathEscape(name), 1))
				a := do(t, h, rt.method, path, bodyFor(&rt))
				tried++
				if a.status < 400 && a.status != http.StatusPermanentRedirect || a.status >= 500 {
					t.Errorf("%s %s: %d %.200s", rt.method, path, a.status, a.body)
				}
			}
		}
	}
	for _, name := range hostileNames() {
		if isName(name) {
			continue
		}
		do(t, h, "POST", "/v1/snapshots", map[string]any{"name": name}).want(t, 400)
		do(t, h, "POST", "/v1/aliases/batch", map[string]any{"changes": []any{map[string]any{"alias": name, "collection": "shop"}}}).want(t, 400)
		if a := do(t, h, "GET", "/ui/"+url.PathEscape(name), nil); a.status == 200 || strings.Contains(string(a.body), "secret of") {
			t.Errorf("/ui/%s: %d", url.PathEscape(name), a.status)
		}
	}
	if after := treeSum(t, outer); after != before {
		t.Error("files changed")
	}
	if tried < 2000 {
		t.Errorf("only %d names tried", tried)
	}
}

// TestNamesAreWhatTheirPatternsSay compares each test of a name with the pattern
// that the OpenAPI document shows for it.
func TestNamesAreWhatTheirPatternsSay(t *testing.T) {
	some := append(hostileNames(), "", "a", "A", "_", "9", "a.b", "a-b_c9", "Z.z-9", "0123456789ab", "0123456789aB", "0123456789abc",
		strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat("x", 128), strings.Repeat("x", 129), "a\n", "é")
	for c := range 256 {
		some = append(some, string([]byte{byte(c)}), "ab"+string([]byte{byte(c)}), "0123456789a"+string([]byte{byte(c)}))
	}
	for p, n := range names {
		re := regexp.MustCompile(n.pattern)
		for _, s := range some {
			if n.ok(s) != re.MatchString(s) {
				t.Errorf("%q as %s: %v, the pattern says %v", s, p, n.ok(s), re.MatchString(s))
			}
		}
	}
}
