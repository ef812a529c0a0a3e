package eider

import (
	"math/rand/v2"
	"testing"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage/format"
)

func TestMortonRangesCoverEveryPointOfTheBox(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 0))
	for range 200 {
		lat, lon := r.Float64()*170-85, r.Float64()*360-180
		b := index.Box{MinLat: lat, MaxLat: min(90, lat+r.Float64()*10), MinLon: lon, MaxLon: min(180, lon+r.Float64()*20)}
		spans := cover(b)
		if len(spans) > maxSpans {
			t.Fatalf("%d ranges", len(spans))
		}
		var area float64
		for _, s := range spans {
			area += float64(s.hi-s.lo) / (1 << 63) / 2
		}
		share := (b.MaxLat - b.MinLat) * (b.MaxLon - b.MinLon) / (180 * 360)
		if area > 8*share+1e-4 {
			t.Fatalf("ranges cover %.5f of the Earth for a box of %.5f", area, share)
		}
		for range 100 {
			p := Geo{Lat: b.MinLat + r.Float64()*(b.MaxLat-b.MinLat), Lon: b.MinLon + r.Float64()*(b.MaxLon-b.MinLon)}
			code, in := format.Morton(p.Lat, p.Lon), false
			for _, s := range spans {
				in = in || code >= s.lo && code <= s.hi
			}
			if !in {
				t.Fatalf("%+v of %+v is in none of %d ranges", p, b, len(spans))
			}
		}
	}
}
