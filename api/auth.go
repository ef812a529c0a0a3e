package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// access is what a route needs and what a scope grants; each includes the ones
// before it.
type access int

const (
	public access = iota + 1 // no key
	read
	write
	admin
)

var accessNames = map[string]access{"read": read, "write": write, "admin": admin}

// Access is the name of an access in a scope: read, write or admin.
type Access string

// Scope grants access to one collection, or with "*" to all and to what
// belongs to none of them (the change feed, snapshots, keys, statistics).
type Scope struct {
	Collection string `json:"collection"`
	Access     Access `json:"access" enum:"read,write,admin"`
}

// Key is a stored key without its secret.
type Key struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Scopes    []Scope   `json:"scopes"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// storedKey is a key in the database: of the secret it holds the SHA-256. The
// secret is 256 random bits, so a slow hash would add nothing.
type storedKey struct {
	Key
	Hash []byte `json:"sha256"`
}

const (
	keySettings = "api/key/" // prefix of the settings that hold keys
	keyPrefix   = "eider"    // of the text of a key: eider_<id>_<secret>
	minKey      = 16         // characters of Options.Key
)

// principal is who a request speaks for.
type principal struct {
	id     string
	scopes []Scope
}

var everything = []Scope{{Collection: "*", Access: "admin"}}

// Who speaks without a key, on public routes and where none is needed.
var (
	nobody  = &principal{id: "-"}
	anybody = &principal{id: "-", scopes: everything}
)

// may reports whether p has access to a collection ("*": to the database).
func (p *principal) may(need access, collection string) bool {
	for _, s := range p.scopes {
		if (s.Collection == "*" || s.Collection == collection) && accessNames[string(s.Access)] >= need {
			return true
		}
	}
	return false
}

// newSecret makes a key's text and what is stored of it.
func newSecret(k Key) (text string, stored storedKey) {
	var id [6]byte
	var secret [32]byte
	rand.Read(id[:])
	rand.Read(secret[:])
	k.ID = hex.EncodeToString(id[:])
	text = keyPrefix + "_" + k.ID + "_" + base64.RawURLEncoding.EncodeToString(secret[:])
	sum := sha256.Sum256([]byte(text))
	return text, storedKey{Key: k, Hash: sum[:]}
}

// presented returns the key of a request, "" if it has none; ok is false when
// the headers contradict each other.
func presented(r *http.Request) (token string, ok bool) {
	auth, keys := r.Header.Values("Authorization"), r.Header.Values("X-Api-Key")
	if len(auth)+len(keys) > 1 {
		return "", false
	}
	if len(keys) == 1 {
		return keys[0], keys[0] != ""
	}
	if len(auth) == 0 {
		return "", true
	}
	scheme, token, _ := strings.Cut(auth[0], " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// guarded reports whether requests need a key. What it read of the stored keys
// holds until the next write.
func (a *api) guarded() bool {
	if a.o.Key != "" || a.exposed {
		return true
	}
	lsn := a.db.LSN() // before reading: a key stored meanwhile is read next time
	if k := a.keyed.Load(); k != nil && k.lsn == lsn {
		return k.any
	}
	k := &keyed{lsn: lsn}
	for range a.db.Settings(keySettings) {
		k.any = true
		break
	}
	a.keyed.Store(k)
	return k.any
}

// keyed is whether the database stores keys, as of an LSN.
type keyed struct {
	lsn uint64
	any bool
}

func wrongKey() error {
	return &problem{Code: codeUnauthorized, Detail: "the key is missing or not valid", Hint: "send Authorization: Bearer <key>"}
}

// authenticate finds who r speaks for. All failures look alike, but for an
// expired key, whose holder has proven to own it.
func (a *api) authenticate(r *http.Request) (*principal, error) {
	token, ok := presented(r)
	if !ok {
		return nil, wrongKey()
	}
	if token == "" {
		if a.guarded() {
			return nil, wrongKey()
		}
		return anybody, nil
	}
	sum := sha256.Sum256([]byte(token))
	if a.o.Key != "" {
		want := sha256.Sum256([]byte(a.o.Key))
		if subtle.ConstantTimeCompare(sum[:], want[:]) == 1 {
			return &principal{id: "root", scopes: everything}, nil
		}
	}
	parts := strings.SplitN(token, "_", 3)
	if len(parts) != 3 || parts[0] != keyPrefix || len(parts[1]) != 12 {
		return nil, wrongKey()
	}
	raw, found, err := a.db.Setting(keySettings + parts[1])
	if err != nil {
		return nil, err
	}
	var k storedKey
	if !found || json.Unmarshal(raw, &k) != nil || subtle.ConstantTimeCompare(sum[:], k.Hash) != 1 {
		return nil, wrongKey()
	}
	if !k.ExpiresAt.IsZero() && !time.Now().Before(k.ExpiresAt) {
		return nil, &problem{Code: codeUnauthorized, Detail: "the key has expired", Hint: "ask for a new one"}
	}
	return &principal{id: k.ID, scopes: k.Scopes}, nil
}

// allow refuses access to a collection that the key's scopes do not grant. The
// scope is that of the collection an alias stands for, and whether the
// collection exists makes no difference to the answer.
func (c *call) allow(need access, collection string) error {
	if collection != "*" && !c.who.may(admin, "*") {
		if real, ok := c.a.db.Aliases()[collection]; ok {
			collection = real
		}
	}
	if !c.who.may(need, collection) {
		return &problem{Code: codeForbidden, Detail: "the key's scopes do not allow this", Hint: "use a key with the access that docs/api.md names for the route"}
	}
	return nil
}
