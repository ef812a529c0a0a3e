package eider

import "github.com/eiderdb/eider/index"

// Circle is the area of Within.
type Circle = index.Circle

// Box is the area of InBox.
type Box = index.Box

// Eq matches documents with value v in a field.
func Eq(field string, v any) Filter { return Filter{Field: field, Eq: v} }

// In matches documents with any of the values in a field.
func In(field string, values ...any) Filter {
	if values == nil {
		values = []any{}
	}
	return Filter{Field: field, In: values}
}

// Gt matches values above v.
func Gt(field string, v any) Filter { return Filter{Field: field, Gt: v} }

// Gte matches values of at least v.
func Gte(field string, v any) Filter { return Filter{Field: field, Gte: v} }

// Lt matches values below v.
func Lt(field string, v any) Filter { return Filter{Field: field, Lt: v} }

// Lte matches values of at most v.
func Lte(field string, v any) Filter { return Filter{Field: field, Lte: v} }

// Between matches lo <= value <= hi.
func Between(field string, lo, hi any) Filter { return Filter{Field: field, Gte: lo, Lte: hi} }

// Exists matches documents that have the field.
func Exists(field string) Filter { yes := true; return Filter{Field: field, Exists: &yes} }

// Prefix matches keywords that begin with prefix.
func Prefix(field, prefix string) Filter { return Filter{Field: field, Prefix: prefix} }

// Within matches points at most meters from a centre.
func Within(field string, lat, lon, meters float64) Filter {
	return Filter{Field: field, Within: &Circle{Lat: lat, Lon: lon, Meters: meters}}
}

// InBox matches points in a box.
func InBox(field string, b Box) Filter { return Filter{Field: field, Box: &b} }

// And matches what every filter matches; without filters, everything.
func And(fs ...Filter) Filter {
	if fs == nil {
		fs = []Filter{}
	}
	return Filter{And: fs}
}

// Or matches what any filter matches; without filters, nothing.
func Or(fs ...Filter) Filter {
	if fs == nil {
		fs = []Filter{}
	}
	return Filter{Or: fs}
}

// Not matches what f does not match.
func Not(f Filter) Filter { return Filter{Not: &f} }

// IDs matches documents by id.
func IDs(ids ...string) Filter {
	if ids == nil {
		ids = []string{}
	}
	return Filter{IDs: ids}
}
