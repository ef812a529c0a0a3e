package index

import "math"

// EarthRadius is the mean radius of the Earth in metres (IUGG R1).
const EarthRadius = 6_371_008.8

// Meters is the great-circle distance of two points by the haversine formula.
func (p Geo) Meters(q Geo) float64 {
	const rad = math.Pi / 180
	sinLat := math.Sin((q.Lat - p.Lat) * rad / 2)
	sinLon := math.Sin((q.Lon - p.Lon) * rad / 2)
	h := sinLat*sinLat + math.Cos(p.Lat*rad)*math.Cos(q.Lat*rad)*sinLon*sinLon
	return 2 * EarthRadius * math.Asin(math.Sqrt(min(1, h)))
}

func (c *Circle) contains(p Geo) bool {
	return Geo{c.Lat, c.Lon}.Meters(p) <= c.Meters
}

// bounds is a box that holds the circle, a little wider than needed.
func (c *Circle) bounds() Box {
	const deg = 180 / math.Pi
	dLat := c.Meters/EarthRadius*deg + 1e-9
	b := Box{MinLat: max(-90, c.Lat-dLat), MaxLat: min(90, c.Lat+dLat), MinLon: -180, MaxLon: 180}
	if b.MinLat == -90 || b.MaxLat == 90 {
		return b // a pole is inside: every longitude
	}
	s := math.Sin(min(math.Pi/2, c.Meters/EarthRadius)) / math.Cos(c.Lat/deg)
	if s >= 1 {
		return b
	}
	dLon := math.Asin(s)*deg + 1e-9
	b.MinLon, b.MaxLon = wrap(c.Lon-dLon), wrap(c.Lon+dLon)
	return b
}

func wrap(lon float64) float64 {
	switch {
	case lon < -180:
		return lon + 360
	case lon > 180:
		return lon - 360
	}
	return lon
}

func (b *Box) contains(p Geo) bool {
	if p.Lat < b.MinLat || p.Lat > b.MaxLat {
		return false
	}
	if b.MinLon <= b.MaxLon {
		return p.Lon >= b.MinLon && p.Lon <= b.MaxLon
	}
	return p.Lon >= b.MinLon || p.Lon <= b.MaxLon
}
