package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// vectorJSON stands for []float32 in the document: a vector is sent as an
// array of numbers or packed.
type vectorJSON struct{}

// Schema serves huma.SchemaProvider.
func (vectorJSON) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "a vector: numbers, or the base64 of its little-endian float32 components. Answers use numbers.",
		OneOf: []*huma.Schema{
			{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeNumber, Format: "float"}},
			{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"f32le": {Type: huma.TypeString, ContentEncoding: "base64"}}, Required: []string{"f32le"}, AdditionalProperties: false},
		},
	}
}

// schemaName names a Go type in the document: eider.Doc is Doc, the api's own
// newKey is NewKey, storage.Stats is StorageStats.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	name = strings.ToUpper(name[:1]) + name[1:]
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if pkg := path.Base(t.PkgPath()); pkg == "storage" {
		name = "Storage" + name
	}
	return name
}

// document makes the OpenAPI 3.1 description from the routes table.
func (a *api) document(routes []route) ([]byte, error) {
	reg := huma.NewMapRegistry("#/components/schemas/", schemaName)
	reg.RegisterTypeAlias(reflect.TypeFor[[]float32](), reflect.TypeFor[vectorJSON]())
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:       "Eider",
			Version:     "v1",
			Description: "Vector search with filters, documents and a change feed. Errors are application/problem+json with a stable code. Unknown JSON members, duplicate names and nesting deeper than 32 are refused.",
			License:     &huma.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		Components: &huma.Components{
			Schemas: reg,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"bearer": {Type: "http", Scheme: "bearer"},
				"key":    {Type: "apiKey", In: "header", Name: "X-API-Key"},
			},
		},
	}
	problems := reg.Schema(reflect.TypeFor[problem](), true, "Problem")
	tags := map[string]bool{}
	for i := range routes {
		rt := &routes[i]
		if rt.path == "/ui/*" {
			continue
		}
		doc.AddOperation(operation(rt, reg, problems))
		if !tags[rt.doc.tag] {
			tags[rt.doc.tag] = true
			doc.Tags = append(doc.Tags, &huma.Tag{Name: rt.doc.tag})
		}
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("api: OpenAPI document: %w", err)
	}
	return raw, nil
}

func operation(rt *route, reg huma.Registry, problems *huma.Schema) *huma.Operation {
	op := &huma.Operation{
		OperationID: rt.doc.id, Method: rt.method, Path: rt.path,
		Tags: []string{rt.doc.tag}, Summary: rt.doc.summary,
		Responses: map[string]*huma.Response{
			"default": {Description: "A problem", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problems}}},
		},
		Extensions: map[string]any{"x-access": accessName(rt.access)},
	}
	if rt.access > public {
		op.Security = []map[string][]string{{"bearer": {}}, {"key": {}}}
	} else {
		op.Security = []map[string][]string{}
	}
	for _, m := range pathNames.FindAllStringSubmatch(rt.path, -1) {
		s := &huma.Schema{Type: huma.TypeString}
		if n, ok := names[m[1]]; ok {
			s.Pattern = n.pattern
		}
		op.Parameters = append(op.Parameters, &huma.Param{Name: m[1], In: "path", Required: true, Schema: s})
	}
	for _, p := range rt.doc.query {
		in := "query"
		if p.header {
			in = "header"
		}
		op.Parameters = append(op.Parameters, &huma.Param{Name: p.name, In: in, Description: p.about, Schema: &huma.Schema{Type: p.kind}})
	}
	if rt.doc.in != nil || rt.doc.inType != "" {
		op.RequestBody = &huma.RequestBody{Required: true, Content: content(rt.doc.in, rt.doc.inType, reg)}
		op.Extensions["x-max-body-bytes"] = rt.body
	}
	for _, status := range append([]int{rt.doc.status}, rt.doc.also...) {
		r := &huma.Response{Description: http.StatusText(status)}
		if rt.doc.out != nil || rt.doc.outType != "" {
			r.Content = content(rt.doc.out, rt.doc.outType, reg)
		}
		if status == http.StatusNotModified {
			r.Content = nil
		}
		op.Responses[strconv.Itoa(status)] = r
	}
	return op
}

func content(v any, kind string, reg huma.Registry) map[string]*huma.MediaType {
	if v == nil {
		return map[string]*huma.MediaType{kind: {}}
	}
	return map[string]*huma.MediaType{"application/json": {Schema: reg.Schema(reflect.TypeOf(v), true, "")}}
}

func accessName(a access) string {
	for name, v := range accessNames {
		if v == a {
			return name
		}
	}
	return "public"
}
