package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/index"
)

// library makes a collection with a text encoder and a few films.
func library(t testing.TB, db *eider.DB) {
	t.Helper()
	c, err := db.CreateCollection(ctx, "films", eider.Schema{
		Fields:  map[string]eider.Field{"title": {Type: eider.Text}, "genre": {Type: eider.Keyword, Index: true}, "year": {Type: eider.Int64, Index: true}},
		Vectors: map[string]eider.Vector{"words": {Dim: 64, Metric: index.Cosine, Encoder: "static-tiny", Source: []string{"title"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	titles := []string{"A monster hunts the crew of a space ship", "Soldiers fight monsters on a far planet", "A shy waitress in Paris finds love", "Astronauts travel to Jupiter with a computer", "A thief and a detective in Los Angeles", "A clerk dreams of wings"}
	var docs []eider.Doc
	for i := range 60 {
		docs = append(docs, eider.Doc{ID: fmt.Sprintf("f%02d", i), Fields: map[string]any{"title": titles[i%6], "genre": []string{"horror", "action", "romance", "space", "crime", "comedy"}[i%6], "year": 1960 + i}})
	}
	if _, err := c.Upsert(ctx, docs...); err != nil {
		t.Fatal(err)
	}
}

func TestConsoleSearchesFiltersBrowsesAndExplains(t *testing.T) {
	db := memory(t)
	library(t, db)
	_, addr := listening(t, db, Options{})
	origin := "http://" + addr
	b := chromium(t)
	b.open(origin + "/ui")
	b.until("document.querySelectorAll('.card').length === 20")
	if got := b.text("#collections"); !strings.Contains(got, "films") || !strings.Contains(got, "60") {
		t.Errorf("the list of collections says %q", got)
	}
	b.enter("#q", "love in Paris")
	b.click(".search button", "Search")
	b.until("document.querySelector('.card h3').textContent.includes('waitress')")
	if got := b.text("#explain"); !strings.Contains(got, "encode") || !strings.Contains(got, "retrieve") || !strings.Contains(got, "µs") {
		t.Errorf("explain says %q", got)
	}
	b.until("document.querySelector('#facets')")
	if got := b.text("#facets"); !strings.Contains(got, "romance") || !strings.Contains(got, "10") {
		t.Errorf("facets say %q", got)
	}
	b.screenshot("search")
	// A facet becomes a filter; a second one narrows it.
	b.click("#facets button", "space")
	b.until("document.querySelector('.summary').textContent.startsWith('10 documents')")
	b.click(".filters button", "+ Filter")
	b.until("document.querySelectorAll('.filter').length === 2")
	b.eval(`(() => { const f = [...document.querySelectorAll('.filter-field')].pop(); f.value = 'year'; f.dispatchEvent(new Event('change', {bubbles: true})); })()`)
	b.eval(`(() => { const s = [...document.querySelectorAll('.filter')].pop().querySelector('select'); s.value = 'gte'; s.dispatchEvent(new Event('change', {bubbles: true})); })()`)
	b.eval(`(() => { const i = [...document.querySelectorAll('.filter')].pop().querySelector('input.grow'); i.value = '2000'; i.dispatchEvent(new Event('input', {bubbles: true})); i.dispatchEvent(new Event('change', {bubbles: true})); })()`)
	b.until("document.querySelector('.summary').textContent.startsWith('3 documents')")
	b.eval("document.querySelector('#theme').click()")
	b.screenshot("filtered")
	b.click(".filters button", "Clear")
	b.until("document.querySelector('.summary').textContent.startsWith('60 documents')")
	// More pages, the table, an example.
	b.click(".results button", "More like this")
	b.until("document.querySelector('.chip.big') && document.querySelectorAll('.card').length > 0")
	b.click(".seg button", "Table")
	b.until("document.querySelectorAll('.grid tbody tr').length > 0")
	b.click(".chip.big button", "×")
	b.until("document.querySelector('#q')")
	// Documents, page by page, and one in full.
	b.click(".tab", "Documents")
	b.until("document.querySelectorAll('tr.pick').length === 50")
	b.click("main button", "Next")
	b.until("document.querySelectorAll('tr.pick').length === 10")
	b.click("tr.pick", "f59")
	b.until("document.querySelector('#drawer').open && document.querySelectorAll('.spark i').length === 64")
	b.screenshot("document")
	b.click("#drawer button", "×")
	b.click(".tab", "Schema")
	b.until("document.querySelector('main').textContent.includes('static-tiny')")
	b.click(".side-link", "Database")
	b.until("document.querySelector('.tiles')")
	if got := b.text("main"); !strings.Contains(got, "hnsw") || !strings.Contains(got, "On disk") || !strings.Contains(got, "requests need no key") {
		t.Errorf("the statistics say %q", got)
	}
	b.screenshot("database")
	b.open(origin + "/docs")
	b.until("document.querySelectorAll('.op').length > 40")
	b.quiet(origin)
}

func TestConsoleAsksForAKeyAndKeepsItInTheTab(t *testing.T) {
	db := memory(t)
	library(t, db)
	const root = "0123456789abcdef-console"
	_, addr := listening(t, db, Options{Key: root})
	b := chromium(t)
	b.open("http://" + addr + "/ui")
	b.until("document.querySelector('#keys').open")
	b.enter("#key-input", root)
	b.click("#keys button", "Use key")
	b.until("document.querySelectorAll('.card').length === 20")
	if b.eval("sessionStorage.getItem('eider-key')") != root || b.eval("JSON.stringify(localStorage) + document.cookie").(string) != "{}" {
		t.Error("the key is not where it belongs")
	}
}

// payloads are 500 texts that would act if they ever became markup, script or a
// link.
func payloads() []string {
	base := []string{
		`<script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `<svg onload=alert(1)>`, `<iframe src="javascript:alert(1)"></iframe>`,
		`<body onload=alert(1)>`, `<a href="javascript:alert(1)">x</a>`, `javascript:alert(1)`, `"><script>alert(1)</script>`, `'-alert(1)-'`, `";alert(1);//`,
		`</textarea><script>alert(1)</script>`, `</title><script>alert(1)</script>`, `<!--<script>alert(1)//-->`, `<style>@import'http://evil.example/x.css'</style>`,
		`<link rel=stylesheet href=http://evil.example/x.css>`, `<img src=http://evil.example/x.png>`, `<object data=http://evil.example/x>`, `<embed src=http://evil.example/x>`,
		`<base href=http://evil.example/>`, `<form action=http://evil.example/><input type=submit autofocus onfocus=alert(1)>`, `<meta http-equiv=refresh content="0;url=http://evil.example/">`,
		`<details open ontoggle=alert(1)>`, `<video src=x onerror=alert(1)>`, `<math><mtext><script>alert(1)</script></mtext></math>`, `<template><script>alert(1)</script></template>`,
		`{{constructor.constructor('alert(1)')()}}`, `${alert(1)}`, `<x onclick=alert(1)>click`, `data:text/html,<script>alert(1)</script>`,
		`data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA`, `data:image/png;base64,"><script>alert(1)</script>AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA`,
		`<img src="data:image/png;base64,AAAA" onerror=alert(1)>`, `[x](javascript:alert(1))`, `![x](http://evil.example/x.png)`, `<b style="background:url(http://evil.example/x)">`,
		`__proto__`, `constructor`, `toString`, `&lt;script&gt;alert(1)&lt;/script&gt;`, `&#60;script&#62;alert(1)&#60;/script&#62;`,
		"<scr\u0000ipt>alert(1)</script>", "<img\u000asrc=x\u000aonerror=alert(1)>", "\u2028alert(1)\u2029", "\ufeff<script>alert(1)</script>", "\u202e<script>alert(1)</script>",
		`<noscript><p title="</noscript><img src=x onerror=alert(1)>">`, `<select autofocus onfocus=alert(1)>`, `<marquee onstart=alert(1)>`, `<isindex action=javascript:alert(1)>`, `<portal src=http://evil.example>`,
	}
	wrap := []func(string) string{
		func(s string) string { return s }, strings.ToUpper, func(s string) string { return `">` + s }, func(s string) string { return `'>` + s }, func(s string) string { return "</script>" + s },
		func(s string) string { return "x " + s + " y" }, func(s string) string { return "`" + s }, func(s string) string { return "*/" + s }, func(s string) string { return "]]>" + s }, func(s string) string { return "%3C" + s },
	}
	var out []string
	for _, w := range wrap {
		for _, p := range base {
			out = append(out, w(p))
		}
	}
	return out
}

// TestStoredTextNeverBecomesMarkup is S10: 500 payloads in every field the
// console displays, in every view.
func TestStoredTextNeverBecomesMarkup(t *testing.T) {
	db := memory(t)
	c, err := db.CreateCollection(ctx, "hostile", eider.Schema{
		Fields:  map[string]eider.Field{"title": {Type: eider.Text}, "kind": {Type: eider.Keyword, Index: true}, "list": {Type: eider.Keyword, Index: true}, "free": {Type: eider.JSON}},
		Vectors: map[string]eider.Vector{"v": {Dim: 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	all := payloads()
	if len(all) != 500 {
		t.Fatalf("%d payloads", len(all))
	}
	var docs []eider.Doc
	for i, p := range all {
		docs = append(docs, eider.Doc{ID: fmt.Sprintf("%s #%03d", p, i), Fields: map[string]any{"title": p, "kind": p, "list": []string{p, "x"}, "free": map[string]any{p: []any{p}}, "loose": p + strings.Repeat(" long", 20)},
			Vectors: map[string][]float32{"v": {1, float32(i)}}})
	}
	if _, err := c.Upsert(ctx, docs...); err != nil {
		t.Fatal(err)
	}
	_, addr := listening(t, db, Options{})
	origin := "http://" + addr
	b := chromium(t)
	b.call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": "window.reports = 0; addEventListener('securitypolicyviolation', () => { window.reports++; });"}, nil)
	b.open(origin + "/ui")
	b.until("document.querySelectorAll('.card').length === 20")
	for n := 40; n <= len(all); n += 20 {
		b.click(".results .center button", "More")
		b.until(fmt.Sprintf("document.querySelectorAll('.card').length >= %d", n))
	}
	clean := func(view string) {
		t.Helper()
		if n := b.eval(`document.querySelectorAll('main script, main iframe, main object, main embed, main style, main link, main base, main meta, main svg, main form[action], main a[href^="javascript"], dialog script, dialog iframe').length`); n != 0.0 {
			t.Errorf("%s: %v elements came from stored text", view, n)
		}
		if n := b.eval(`[...document.querySelectorAll('*')].filter((e) => [...e.attributes].some((a) => a.name.startsWith('on'))).length`); n != 0.0 {
			t.Errorf("%s: %v elements have handlers as attributes", view, n)
		}
		if n := b.eval(`[...document.images].filter((i) => !i.src.startsWith(location.origin) && !/^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/.test(i.src)).length`); n != 0.0 {
			t.Errorf("%s: %v images from elsewhere", view, n)
		}
	}
	clean("cards")
	shown, _ := b.eval("[...document.querySelectorAll('.card h3')].map((e) => e.textContent)").([]any)
	seen := map[string]bool{}
	for _, s := range shown {
		seen[fmt.Sprint(s)] = true
	}
	for _, p := range all {
		if len(p) < 200 && !strings.HasPrefix(p, "data:") && !seen[p] {
			t.Errorf("the text %q is not shown as it is", p)
		}
	}
	b.click(".seg button", "Table")
	b.until("document.querySelectorAll('.grid tbody tr').length >= 500")
	clean("table")
	for i := range 2 {
		b.until("document.querySelectorAll('.facet button').length > 6")
		b.eval(fmt.Sprintf("document.querySelectorAll('.facet button')[%d].click()", i))
		b.until("document.querySelectorAll('.filter').length === 1 && !document.querySelector('.results.busy')")
		clean("facets")
		b.click(".filters button", "Clear")
		b.until("document.querySelector('.summary').textContent.startsWith('500 documents')")
	}
	b.click(".tab", "Documents")
	for range 4 {
		b.until("document.querySelectorAll('tr.pick').length === 50")
		clean("documents")
		b.eval("document.querySelector('tr.pick').click()")
		b.until("document.querySelector('#drawer').open")
		clean("drawer")
		b.eval("document.querySelector('#drawer').close()")
		first := b.text("tr.pick td")
		b.click("main button", "Next")
		b.until(fmt.Sprintf("document.querySelector('tr.pick td').textContent !== %q", first))
	}
	if n := b.eval("window.reports"); n != 0.0 {
		t.Errorf("%v reports of the content security policy", n)
	}
	if b.eval("location.href").(string) != origin+"/ui#/c/hostile/documents" {
		t.Error("the page went elsewhere")
	}
	b.quiet(origin)
}
