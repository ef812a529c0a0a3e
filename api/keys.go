package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eiderdb/eider"
)

const maxKeys = 10000

type keyList struct {
	Keys []Key `json:"keys"`
}

// keyOrder asks for a key. Without expires_at it is valid until revoked.
type keyOrder struct {
	Name      string    `json:"name,omitempty"`
	Scopes    []Scope   `json:"scopes"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// newKey is a key with its text, which is shown this once.
type newKey struct {
	Key
	Text string `json:"key"`
}

func listKeys(c *call) error {
	out := keyList{Keys: []Key{}}
	for name, raw := range c.a.db.Settings(keySettings) {
		var k storedKey
		if err := json.Unmarshal(raw, &k); err != nil {
			c.a.log.Error("stored key is damaged", "setting", name)
			continue
		}
		out.Keys = append(out.Keys, k.Key)
	}
	slices.SortFunc(out.Keys, func(x, y Key) int {
		if n := x.CreatedAt.Compare(y.CreatedAt); n != 0 {
			return n
		}
		return strings.Compare(x.ID, y.ID)
	})
	return c.reply(http.StatusOK, out)
}

func postKey(c *call) error {
	var o keyOrder
	if err := c.decode(&o); err != nil {
		return err
	}
	if err := o.check(time.Now()); err != nil {
		return err
	}
	if !c.a.guarded() && !slices.Contains(o.Scopes, everything[0]) {
		return &problem{Code: eider.CodeInvalid, Pointer: "/scopes", Detail: "the first key must be an administrator's, or nobody could make the next one",
			Hint: `use {"collection": "*", "access": "admin"}`}
	}
	n := 0
	for range c.a.db.Settings(keySettings) {
		if n++; n >= maxKeys {
			return &problem{Code: eider.CodeTooLarge, Detail: "there are " + strconv.Itoa(maxKeys) + " keys already", Hint: "revoke keys that are not used"}
		}
	}
	text, stored := newSecret(Key{Name: o.Name, Scopes: o.Scopes, CreatedAt: time.Now().UTC().Truncate(time.Millisecond), ExpiresAt: o.ExpiresAt})
	raw, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	if err := c.a.db.PutSetting(c.ctx, keySettings+stored.ID, raw); err != nil {
		return err
	}
	c.a.log.Info("key made", "key", stored.ID, "by", c.who.id)
	return c.reply(http.StatusCreated, newKey{Key: stored.Key, Text: text})
}

func (o *keyOrder) check(now time.Time) error {
	if len(o.Name) > 128 {
		return invalid("/name", "a name has at most 128 bytes")
	}
	if len(o.Scopes) == 0 || len(o.Scopes) > 64 {
		return invalid("/scopes", `give 1 to 64 scopes, such as {"collection": "films", "access": "read"}`)
	}
	for i, s := range o.Scopes {
		at := "/scopes/" + strconv.Itoa(i)
		if s.Collection != "*" && !isName(s.Collection) {
			return invalid(at+"/collection", `name a collection, or "*" for all`)
		}
		if accessNames[string(s.Access)] == 0 {
			return invalid(at+"/access", "access is read, write or admin")
		}
	}
	if !o.ExpiresAt.IsZero() && !o.ExpiresAt.After(now) {
		return invalid("/expires_at", "the time is in the past")
	}
	return nil
}

func deleteKey(c *call) error {
	name := keySettings + c.path("k")
	if _, ok, err := c.a.db.Setting(name); err != nil {
		return err
	} else if !ok {
		return &problem{Code: eider.CodeNotFound, Detail: "there is no such key"}
	}
	if err := c.a.db.PutSetting(c.ctx, name, nil); err != nil {
		return err
	}
	c.a.log.Info("key revoked", "key", c.path("k"), "by", c.who.id)
	return c.nothing()
}
