package storage

import (
	"bytes"
	"fmt"

	"github.com/eiderdb/eider/storage/format"
)

// events checks that every event belongs to a user, every id to an event and every
// user to a history, both ways, and that the counts are theirs. Ids and users are
// compared by sums, as documents are.
func (c *checker) events() {
	var wantIDs, wantUsers, gotIDs, gotUsers sum
	counts := eventCounts{next: c.v.events.next}
	var number, count uint64 // of the history being read
	var user string
	end := func() {
		if number != 0 {
			wantUsers.add(c.hash(append(userKey(user), userValue(&eventUser{number, count})...)))
			counts.events += count
		}
	}
	c.scan("event", "", []byte{prefixHistory}, []byte{prefixHistory + 1}, func(key, value []byte) error {
		if len(key) == numberLen {
			end()
			number, count, user = be.Uint64(key[1:]), 0, string(value)
			counts.users++
			if err := checkUser(user); err != nil || number == 0 || number >= counts.next {
				c.problem("event", "", "history %d of %.80q, the next number is %d: %v", number, user, counts.next, err)
			}
			return nil
		}
		id, err := c.event(key, value, number)
		if err != nil {
			c.problem("event", "", "key %x: %v", key, err)
		}
		if id != "" {
			wantIDs.add(c.hash(append(eventKey(number, id), key[numberLen:]...)))
		}
		count++
		return nil
	})
	end()
	c.scan("user", "", []byte{prefixUser}, []byte{prefixUser + 1}, func(key, value []byte) error {
		gotUsers.add(c.hash(append(bytes.Clone(key), value...)))
		return nil
	})
	c.scan("event id", "", []byte{prefixEvent}, []byte{prefixEvent + 1}, func(key, value []byte) error {
		gotIDs.add(c.hash(append(bytes.Clone(key), value...)))
		return nil
	})
	if gotUsers != wantUsers {
		c.problem("event", "", "%d users, %d histories; they do not name each other, or the numbers of events differ", gotUsers.n, wantUsers.n)
	}
	if gotIDs != wantIDs {
		c.problem("event", "", "%d ids of events, the events have %d; they do not name each other", gotIDs.n, wantIDs.n)
	}
	if counts != c.v.events {
		c.problem("event", "", "%d events of %d users, counted were %d of %d", counts.events, counts.users, c.v.events.events, c.v.events.users)
	}
}

// event checks one event and returns its id.
func (c *checker) event(key, value []byte, number uint64) (id string, err error) {
	if len(key) != historyLen || be.Uint64(key[1:]) != number {
		return "", fmt.Errorf("%w: it is in no history", ErrCorrupt)
	}
	e, err := format.ParseEvent(value)
	if err == nil {
		err = e.Check()
	}
	if _, lsn, _ := parsePlace(key[numberLen:]); err == nil && lsn > c.v.lsn {
		err = fmt.Errorf("%w: of LSN %d, in the future", ErrCorrupt, lsn)
	}
	return e.ID, err
}
