package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/eiderdb/eider"
)

type jobList struct {
	Jobs []eider.JobState `json:"jobs"`
}

// trainModel queues a training; the answer says where to look.
func trainModel(c *call) error {
	var spec eider.TrainSpec
	if err := c.decode(&spec); err != nil {
		return err
	}
	if m := c.path("m"); spec.Model == "" {
		spec.Model = m
	} else if spec.Model != m {
		return invalid("/model", "the model is that of the path; leave it out")
	}
	j, err := c.a.db.Train(c.ctx, spec)
	if err != nil {
		return err
	}
	c.a.log.Info("training queued", "model", spec.Model, "job", j.ID())
	c.w.Header().Set("Location", "/v1/jobs/"+j.ID())
	return c.reply(http.StatusAccepted, j.State())
}

// evaluationOrder is eider.EvalSpec, and which version is to be measured.
type evaluationOrder struct {
	Version    string    `json:"version,omitempty"` // number or alias, default production
	Collection string    `json:"collection,omitempty"`
	Events     []string  `json:"events,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Repeats    bool      `json:"repeats,omitempty"`
	Split      string    `json:"split,omitempty"`
	Candidates int       `json:"candidates,omitempty"`
}

func evaluateModel(c *call) error {
	var o evaluationOrder
	if err := c.decode(&o); err != nil {
		return err
	}
	if o.Version == "" {
		o.Version = eider.Production
	}
	if !isName(o.Version) {
		return invalid("/version", "%s", names["ref"].what)
	}
	e, err := c.a.db.Evaluate(c.ctx, c.path("m")+"@"+o.Version, eider.EvalSpec{Collection: o.Collection, Events: o.Events, Since: o.Since,
		Repeats: o.Repeats, Split: o.Split, Candidates: o.Candidates})
	if err != nil {
		return err
	}
	c.lsn(e.LSN)
	return c.reply(http.StatusOK, e)
}

func listJobs(c *call) error { return c.reply(http.StatusOK, jobList{c.a.db.Jobs()}) }

func getJob(c *call) error {
	j, err := c.a.db.Job(c.path("j"))
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, j.State())
}

// cancelJob asks a job to end; the answer is its state, which may not have ended yet.
func cancelJob(c *call) error {
	j, err := c.a.db.Job(c.path("j"))
	if err != nil {
		return err
	}
	j.Cancel()
	c.a.log.Info("job cancelled", "job", j.ID())
	return c.reply(http.StatusAccepted, j.State())
}

// resumeJob queues an interrupted job again.
func resumeJob(c *call) error {
	j, err := c.a.db.Resume(c.ctx, c.path("j"))
	if err != nil {
		return err
	}
	c.a.log.Info("job resumed", "model", j.State().Spec.Model, "job", j.ID())
	return c.reply(http.StatusAccepted, j.State())
}

// jobLook is how often a followed job is looked at.
const jobLook = 200 * time.Millisecond

// followJob streams the states of a job until it has ended: ndjson, or server-sent
// events of type state.
func followJob(c *call) error {
	j, err := c.a.db.Job(c.path("j"))
	if err != nil {
		return err
	}
	before, after, beat := "", "\n", "\n"
	h := c.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	if strings.Contains(c.r.Header.Get("Accept"), "text/event-stream") {
		h.Set("Content-Type", "text/event-stream")
		before, after, beat = "event: state\ndata: ", "\n\n", ": alive\n\n"
	}
	h.Set("Cache-Control", "no-store")
	c.w.WriteHeader(http.StatusOK)
	tick := time.NewTicker(jobLook)
	defer tick.Stop()
	var last []byte
	for sent := time.Now(); ; {
		s := j.State()
		now, err := json.Marshal(s)
		if err != nil {
			return err
		}
		line := ""
		if !bytes.Equal(now, last) {
			line = before + string(now) + after
		} else if time.Since(sent) > heartbeat {
			line = beat
		}
		if line != "" {
			if _, err := c.w.Write([]byte(line)); err != nil {
				return nil
			}
			if c.w.Flush() != nil {
				return nil
			}
			last, sent = now, time.Now()
		}
		if s.Status.Ended() {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return nil
		case <-c.a.draining:
			return nil
		}
	}
}
