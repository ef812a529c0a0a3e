package api

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider"
)

// concrete fills the parameters of a route's path.
func concrete(path string) string {
	return strings.NewReplacer("{c}", "shop", "{id}", "p0", "{f}", "stock", "{v}", "v", "{a}", "alias", "{s}", "snap", "{k}", "0123456789ab", "{m}", "ctr", "{b}", "kind", "{ref}", "1", "*", "app.js").Replace(path)
}

// bodyFor is a body that a route takes, or nil.
func bodyFor(rt *route) any {
	if rt.body == noBody {
		return nil
	}
	return "{}"
}

// store puts a key into the database and returns its text.
func store(t testing.TB, db *eider.DB, expires time.Time, scopes ...Scope) string {
	t.Helper()
	text, k := newSecret(Key{Scopes: scopes, ExpiresAt: expires})
	raw, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.PutSetting(ctx, keySettings+k.ID, raw); err != nil {
		t.Fatal(err)
	}
	return text
}

// table returns the rows a handler serves.
func table(t testing.TB, db *eider.DB) []route {
	t.Helper()
	_, a, err := newHandler(db, Options{Logger: quiet}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.routes()
}

// TestEveryRouteAdmitsExactlyTheKeysItsAccessNames is S6: the matrix grows with
// the table.
func TestEveryRouteAdmitsExactlyTheKeysItsAccessNames(t *testing.T) {
	db := memory(t)
	never := time.Time{}
	on := func(a Access) []Scope { return []Scope{{"shop", a}} }
	all := func(a Access) []Scope { return []Scope{{"*", a}} }
	good := store(t, db, never, all("admin")...)
	keys := []struct {
		name, text string
		collection access // on "shop"
		database   access // on "*"
		known      bool
	}{
		{"none", "", 0, 0, false},
		{"wrong secret", good[:len(good)-4] + "AAAA", 0, 0, false},
		{"wrong id", "eider_000000000000_" + strings.Repeat("A", 43), 0, 0, false},
		{"not a key", "hello", 0, 0, false},
		{"expired", store(t, db, time.Now().Add(-time.Second), all("admin")...), 0, 0, false},
		{"reader of shop", store(t, db, never, on("read")...), read, 0, true},
		{"writer of shop", store(t, db, never, on("write")...), write, 0, true},
		{"admin of shop", store(t, db, never, on("admin")...), admin, 0, true},
		{"admin of another", store(t, db, never, Scope{"other", "admin"}), 0, 0, true},
		{"reader of all", store(t, db, never, all("read")...), read, read, true},
		{"writer of all", store(t, db, never, all("write")...), write, write, true},
		{"admin of all", good, admin, admin, true},
		{"unexpired", store(t, db, time.Now().Add(time.Hour), all("admin")...), admin, admin, true},
	}
	shop(t, db, 1)
	h := handler(t, db)
	for _, rt := range table(t, db) {
		if rt.path == "/v1/changes" {
			rt.path += "?limit=1"
		}
		for _, k := range keys {
			header := []string{}
			if k.text != "" {
				header = []string{"Authorization", "Bearer " + k.text}
			}
			a := do(t, h, rt.method, concrete(rt.path), bodyFor(&rt), header...)
			got := "in"
			if a.status == 401 || a.status == 403 {
				got = fmt.Sprint(a.status)
			}
			want := "in"
			switch has := map[scope]access{onCollection: k.collection, onDatabase: k.database}[rt.scope]; {
			case rt.access == public:
			case !k.known:
				want = "401"
			case rt.scope == onListed: // the handler asks for each collection
			case has < rt.access:
				want = "403"
			}
			if got != want {
				t.Errorf("%s %s with key %q: %d, want %s", rt.method, rt.path, k.name, a.status, want)
			}
			if rt.method == "DELETE" && a.status < 300 && rt.path == "/v1/collections/{c}" {
				shop(t, db, 1)
			}
		}
	}
}

func TestListedRoutesShowOnlyWhatTheKeyMayRead(t *testing.T) {
	db := memory(t)
	shop(t, db, 1)
	if _, err := db.CreateCollection(ctx, "secret", eider.Schema{}); err != nil {
		t.Fatal(err)
	}
	k := []string{"X-API-Key", store(t, db, time.Time{}, Scope{"shop", "read"})}
	h := handler(t, db)
	var l collectionList
	do(t, h, "GET", "/v1/collections", nil, k...).want(t, 200).into(t, &l)
	if len(l.Collections) != 1 || l.Collections[0].Name != "shop" {
		t.Fatalf("listed %+v", l)
	}
	for _, name := range []string{"secret", "missing"} {
		body := `{"searches":[{"collection":"shop","query":{}},{"collection":"` + name + `","query":{}}]}`
		do(t, h, "POST", "/v1/search/batch", body, k...).want(t, 403)
	}
	do(t, h, "POST", "/v1/search/batch", `{"searches":[{"collection":"shop","query":{}}]}`, k...).want(t, 200)
}

func TestAliasGrantsWhatItsCollectionGrants(t *testing.T) {
	db := memory(t)
	shop(t, db, 1)
	if err := db.SetAliases(ctx, eider.AliasChange{Alias: "mine", Collection: "shop"}); err != nil {
		t.Fatal(err)
	}
	h := handler(t, db)
	alias, real := store(t, db, time.Time{}, Scope{"mine", "read"}), store(t, db, time.Time{}, Scope{"shop", "read"})
	do(t, h, "GET", "/v1/collections/mine", nil, "X-API-Key", alias).want(t, 403)
	do(t, h, "GET", "/v1/collections/mine", nil, "X-API-Key", real).want(t, 200)
}

func TestKeyIsShownOnceAndStoredHashed(t *testing.T) {
	db := memory(t)
	h := handler(t, db)
	do(t, h, "POST", "/v1/keys", `{"scopes":[{"collection":"shop","access":"read"}]}`).want(t, 400)
	var k newKey
	do(t, h, "POST", "/v1/keys", `{"name":"ops","scopes":[{"collection":"*","access":"admin"}]}`).want(t, 201).into(t, &k)
	do(t, h, "GET", "/v1/keys", nil).want(t, 401)
	list := do(t, h, "GET", "/v1/keys", nil, "Authorization", "bearer "+k.Text).want(t, 200)
	secret := k.Text[strings.LastIndex(k.Text, "_")+1:]
	if strings.Contains(string(list.body), secret) || !strings.Contains(string(list.body), k.ID) {
		t.Fatalf("list %s", list.body)
	}
	for name, raw := range db.Settings("") {
		if strings.Contains(string(raw), secret) {
			t.Fatalf("setting %s holds the secret", name)
		}
	}
	do(t, h, "DELETE", "/v1/keys/"+k.ID, nil, "X-API-Key", k.Text).want(t, 204)
	do(t, h, "GET", "/v1/keys", nil, "X-API-Key", k.Text).want(t, 401)
}

func TestContradictingKeyHeadersAreRefused(t *testing.T) {
	db := memory(t)
	const root = "0123456789abcdef0123"
	h := handler(t, db, func(o *Options) { o.Key = root })
	do(t, h, "GET", "/v1/stats", nil, "X-API-Key", root).want(t, 200)
	do(t, h, "GET", "/v1/stats", nil, "X-API-Key", root, "Authorization", "Bearer other").want(t, 401)
	do(t, h, "GET", "/v1/stats", nil, "Authorization", "Basic "+root).want(t, 401)
	if _, err := Handler(db, Options{Key: "short"}); err == nil {
		t.Error("a short key was accepted")
	}
}

// TestServerListensBeyondLoopbackOnlyWithAKey covers S6 and S16.
func TestServerListensBeyondLoopbackOnlyWithAKey(t *testing.T) {
	db := memory(t)
	open, err := NewServer(db, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.7:0", "example.org:0"} {
		if l, err := open.Listen(addr); err != ErrNoKey {
			t.Errorf("listen on %q without a key: %v %v", addr, l, err)
		}
	}
	if _, err := open.Listen("7700"); err == nil || err == ErrNoKey {
		t.Errorf("an address without a port: %v", err)
	}
	keyed, err := NewServer(db, Options{Logger: quiet, Key: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := keyed.Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestRevokingTheLastKeyDoesNotOpenAnExposedServer(t *testing.T) {
	db := memory(t)
	k := store(t, db, time.Time{}, everything...)
	s, err := NewServer(db, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	id := strings.Split(k, "_")[1]
	do(t, s.http.Handler, "DELETE", "/v1/keys/"+id, nil, "X-API-Key", k).want(t, 204)
	do(t, s.http.Handler, "GET", "/v1/stats", nil).want(t, 401)
}

// TestRouteLacksNothing shows that a row with an empty column cannot be mounted.
func TestRouteLacksNothing(t *testing.T) {
	db := memory(t)
	for _, rt := range table(t, db) {
		for name, spoil := range map[string]func(*route){
			"access": func(r *route) { r.access = 0 },
			"body":   func(r *route) { r.body = 0 },
			"cost":   func(r *route) { r.cost.units = 0 },
			"handle": func(r *route) { r.handle = nil },
			"doc":    func(r *route) { r.doc.summary = "" },
		} {
			bad := rt
			spoil(&bad)
			if bad.check() == nil {
				t.Errorf("%s %s passes without %s", rt.method, rt.path, name)
			}
		}
	}
}

// TestOnlySameOriginWrites is S11: browsers on other pages cannot write, and a
// foreign name for this address serves nothing.
func TestOnlySameOriginWrites(t *testing.T) {
	db := memory(t)
	shop(t, db, 1)
	s, err := NewServer(db, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	ours := "localhost:" + port
	for _, host := range []string{ours, "127.0.0.1:" + port, "[::1]:" + port, "evil.example:" + port, "localhost.evil.example", "127.0.0.1.evil.example:" + port, ""} {
		local := host == ours || strings.HasPrefix(host, "127.0.0.1:") || strings.HasPrefix(host, "[::1]")
		for _, origin := range []string{"", "http://" + host, "http://evil.example", "null"} {
			for _, site := range []string{"", "same-origin", "none", "same-site", "cross-site"} {
				header := []string{"Host", host}
				if origin != "" {
					header = append(header, "Origin", origin)
				}
				if site != "" {
					header = append(header, "Sec-Fetch-Site", site)
				}
				same := site == "same-origin" || site == "none" || site == "" && (origin == "" || origin == "http://"+host)
				writes := do(t, s.http.Handler, "PUT", "/v1/collections/shop/docs/x", "{}", header...).status < 300
				if writes != (local && same) {
					t.Errorf("write with Host %q Origin %q Sec-Fetch-Site %q: %v", host, origin, site, writes)
				}
				a := do(t, s.http.Handler, "GET", "/v1/collections/shop", nil, header...)
				if reads := a.status == http.StatusOK; reads != local {
					t.Errorf("read with Host %q: %d", host, a.status)
				}
				if a.header.Get("Access-Control-Allow-Origin") != "" {
					t.Error("an answer opens itself to other origins")
				}
			}
		}
	}
}
