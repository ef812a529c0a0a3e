package api

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider"
)

// watched is a database of made-up events, of users who take to one of two genres.
func watched(t testing.TB) *eider.DB {
	t.Helper()
	db := memory(t)
	watch(t, db)
	return db
}

func watch(t testing.TB, db *eider.DB) {
	t.Helper()
	c, err := db.CreateCollection(ctx, "films", eider.Schema{Fields: map[string]eider.Field{"genre": {Type: eider.Keyword}}})
	if err != nil {
		t.Fatal(err)
	}
	var docs []eider.Doc
	for i := range 20 {
		docs = append(docs, eider.Doc{ID: fmt.Sprint("f", i), Fields: map[string]any{"genre": []string{"crime", "drama"}[i%2]}})
	}
	if _, err := c.Upsert(ctx, docs...); err != nil {
		t.Fatal(err)
	}
	var events []eider.Event
	for u := range 40 {
		for n := range 5 {
			events = append(events, eider.Event{User: fmt.Sprint("u", u), Item: fmt.Sprint("f", (u*6+n*4)%20+u%2), Type: "click", Time: time.Unix(int64(n), 0)})
		}
	}
	if _, err := db.Events().Append(ctx, events...); err != nil {
		t.Fatal(err)
	}
}

const (
	shortTraining = `{"collection":"films","fields":["genre"],"candidates":5,"dim":8,"batch":32,"epochs":4,"promote":true}`
	longTraining  = `{"collection":"films","fields":["genre"],"candidates":5,"dim":8,"batch":1,"epochs":1000,"patience":1000}`
)

func TestModelIsTrainedWatchedAndServedOverHTTP(t *testing.T) {
	h := handler(t, watched(t))
	var s eider.JobState
	a := do(t, h, "POST", "/v1/models/din/train", shortTraining).want(t, 202)
	a.into(t, &s)
	at := "/v1/jobs/" + s.ID
	if a.header.Get("Location") != at || s.Kind != "train" || s.Spec.History != 50 || s.Spec.Model != "din" {
		t.Errorf("job %+v at %s", s, a.header.Get("Location"))
	}
	var last string
	lines := bufio.NewScanner(strings.NewReader(string(do(t, h, "GET", at+"/events", nil).want(t, 200).body)))
	for lines.Scan() {
		last = lines.Text()
	}
	if !strings.Contains(last, `"status":"done"`) {
		t.Errorf("the last line is %s", last)
	}
	do(t, h, "GET", at, nil).want(t, 200).into(t, &s)
	if s.Status != eider.JobDone || s.Version == nil || s.Version.Version != 1 || s.Promotion == nil {
		t.Fatalf("job %+v", s)
	}
	var l jobList
	if do(t, h, "GET", "/v1/jobs", nil).want(t, 200).into(t, &l); len(l.Jobs) != 1 || l.Jobs[0].ID != s.ID {
		t.Errorf("jobs %+v", l)
	}
	metrics := string(do(t, h, "GET", "/metrics", nil).want(t, 200).body)
	for _, line := range []string{"eider_events 200", "eider_event_users 40", "eider_models 1", "eider_model_versions 1", `eider_jobs{status="done"} 1`, `eider_jobs{status="failed"} 0`} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("no line %q in the metrics", line)
		}
	}
	var p eider.Prediction
	do(t, h, "POST", "/v1/models/din/predict", `{"collection":"films","ids":["f1","f2"],"user":"u1","explain":true}`).want(t, 200).into(t, &p)
	if p.Version != 1 || p.Scores[0] <= p.Scores[1] || len(p.Explain[0]) != 5 {
		t.Errorf("u1 likes drama: %+v", p)
	}
	var e eider.Evaluation
	do(t, h, "POST", "/v1/models/din/evaluate", `{"version":"1"}`).want(t, 200).into(t, &e)
	if e.Version != 1 || len(e.Metrics) != 4 || e.Metrics[1].Value != s.Version.Metrics[1].Value {
		t.Errorf("evaluation %+v, the training measured %+v", e, s.Version.Metrics)
	}
	do(t, h, "POST", "/v1/models/din/evaluate", `{"version":"A"}`).want(t, 400)
	do(t, h, "POST", "/v1/models/none/evaluate", `{}`).want(t, 404)
}

func TestJobIsFollowedAndCancelledOverHTTP(t *testing.T) {
	h := handler(t, watched(t))
	srv := httptest.NewServer(h)
	defer srv.Close()
	var s eider.JobState
	do(t, h, "POST", "/v1/models/din/train", longTraining).want(t, 202).into(t, &s)
	r, _ := http.NewRequest("GET", srv.URL+"/v1/jobs/"+s.ID+"/events", nil)
	r.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	events := bufio.NewReader(res.Body)
	if line, err := events.ReadString('\n'); err != nil || line != "event: state\n" || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("line %q, %v, %v", line, err, res.Header)
	}
	do(t, h, "DELETE", "/v1/jobs/"+s.ID, nil).want(t, 202)
	last := ""
	for { // the stream ends with the job
		line, err := events.ReadString('\n')
		if err != nil {
			break
		}
		if strings.HasPrefix(line, "data: ") {
			last = line
		}
	}
	if !strings.Contains(last, `"status":"cancelled"`) || !strings.Contains(last, `"code":"canceled"`) {
		t.Errorf("the last state is %s", last)
	}
	do(t, h, "DELETE", "/v1/jobs/"+s.ID, nil).want(t, 202) // again
	do(t, h, "POST", "/v1/jobs/"+s.ID+"/resume", nil).want(t, 409)
	do(t, h, "POST", "/v1/jobs/0123456789abcdef/resume", nil).want(t, 404)
	do(t, h, "GET", "/v1/jobs/0123456789abcdef", nil).want(t, 404)
	do(t, h, "GET", "/v1/jobs/zzz", nil).want(t, 400)
	for body, at := range map[string]string{
		`{"collection":"films","fields":["gender"]}`: "/fields/0", `{"collection":"films","model":"other"}`: "/model", `{"collection":"films","epochs":-1}`: "/epochs",
	} {
		if p := do(t, h, "POST", "/v1/models/din/train", body).want(t, 400).problem(t); p.Pointer != at {
			t.Errorf("%s: %+v", body, p)
		}
	}
	do(t, h, "POST", "/v1/models/din/train", `{"collection":"filmz"}`).want(t, 404)
}

func TestInterruptedJobIsResumedOverHTTP(t *testing.T) {
	dir := t.TempDir()
	reopen := func() (*eider.DB, http.Handler) {
		db, err := eider.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db, handler(t, db)
	}
	db, h := reopen()
	watch(t, db)
	var s eider.JobState
	do(t, h, "POST", "/v1/models/din/train", longTraining).want(t, 202).into(t, &s)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, h = reopen()
	at := "/v1/jobs/" + s.ID
	if do(t, h, "GET", at, nil).want(t, 200).into(t, &s); s.Status != eider.JobInterrupted {
		t.Errorf("job %+v", s)
	}
	if do(t, h, "POST", at+"/resume", nil).want(t, 202).into(t, &s); s.Status.Ended() {
		t.Errorf("job %+v", s)
	}
	do(t, h, "POST", at+"/resume", nil).want(t, 409)
	do(t, h, "DELETE", at, nil).want(t, 202)
}
