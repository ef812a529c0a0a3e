package api

import (
	"net/http"

	"github.com/eiderdb/eider"
)

type bottleneckList struct {
	Bottlenecks []eider.BottleneckInfo `json:"bottlenecks"`
}

type learnOrder struct {
	Examples []eider.Example `json:"examples"`
}

type classifiedList struct {
	Predictions []eider.Classified `json:"predictions"`
}

// unlearnOrder names what is to be forgotten: one of the two.
type unlearnOrder struct {
	ID    string `json:"id,omitempty"`
	Label string `json:"label,omitempty"`
}

// bottleneck opens the bottleneck of the path.
func (c *call) bottleneck() (*eider.Bottleneck, error) {
	coll, err := c.collection()
	if err != nil {
		return nil, err
	}
	return coll.Bottleneck(c.path("b"))
}

func listBottlenecks(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	all, err := coll.Bottlenecks(c.ctx)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, bottleneckList{all})
}

func putBottleneck(c *call) error {
	var spec eider.BottleneckSpec
	if err := c.decode(&spec); err != nil {
		return err
	}
	coll, err := c.collection()
	if err != nil {
		return err
	}
	b, err := coll.CreateBottleneck(c.ctx, c.path("b"), spec)
	if err != nil {
		return err
	}
	info, err := b.Info(c.ctx)
	if err != nil {
		return err
	}
	c.a.log.Info("bottleneck created", "collection", coll.Name(), "bottleneck", info.Name)
	return c.reply(http.StatusCreated, info)
}

func getBottleneck(c *call) error {
	b, err := c.bottleneck()
	if err != nil {
		return err
	}
	info, err := b.Info(c.ctx)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, info)
}

func deleteBottleneck(c *call) error {
	coll, err := c.collection()
	if err != nil {
		return err
	}
	if err := coll.DropBottleneck(c.ctx, c.path("b")); err != nil {
		return err
	}
	return c.nothing()
}

func learnBottleneck(c *call) error {
	var o learnOrder
	if err := c.decode(&o); err != nil {
		return err
	}
	b, err := c.bottleneck()
	if err != nil {
		return err
	}
	r, err := b.Learn(c.ctx, o.Examples...)
	if err != nil {
		return err
	}
	c.lsn(r.LSN)
	return c.reply(http.StatusOK, r)
}

func predictBottleneck(c *call) error {
	var in eider.Unclassified
	if err := c.decode(&in); err != nil {
		return err
	}
	b, err := c.bottleneck()
	if err != nil {
		return err
	}
	all, err := b.Classify(c.ctx, in)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, classifiedList{all})
}

func unlearnBottleneck(c *call) error {
	var o unlearnOrder
	if err := c.decode(&o); err != nil {
		return err
	}
	if (o.ID == "") == (o.Label == "") {
		return invalid("", "name the document to unlearn by id, or the class by label")
	}
	b, err := c.bottleneck()
	if err != nil {
		return err
	}
	if o.ID != "" {
		err = b.Unlearn(c.ctx, o.ID)
	} else {
		err = b.UnlearnClass(c.ctx, o.Label)
	}
	if err != nil {
		return err
	}
	return c.nothing()
}
