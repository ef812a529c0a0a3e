package api

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/eiderdb/eider"
)

// The only entries of a model's tar, with their caps in bytes. What they hold is
// checked by the library.
var modelFiles = map[string]int64{"config.json": 4 * mib, "model.safetensors": 64<<30 + 2*mib}

// importModel spools the two files of a tar into a directory of its own and stores
// them as a version of the model of the path.
func importModel(c *call) error {
	body, err := c.a.reader(c.w, c.r, c.route.body)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "eider-model-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := unpack(&counted{r: body}, dir); err != nil {
		return err
	}
	v, err := c.models().Import(c.ctx, dir, c.path("m"))
	return c.created(v, err)
}

// unpack writes the files of a model's tar into dir. Names are compared, never
// used; an entry of another name or kind, or given twice, is refused, and so is one
// that unpacks to more than was sent.
func unpack(body *counted, dir string) error {
	in, seen, out := tar.NewReader(body), map[string]bool{}, &spool{in: body}
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return tarProblem(err)
		}
		limit, known := modelFiles[h.Name]
		switch {
		case !known || h.Typeflag != tar.TypeReg:
			return &problem{Code: eider.CodeInvalid, Detail: "the tar has an entry that is not the file config.json or model.safetensors", Hint: "pack it with `tar cf model.tar -C FOLDER config.json model.safetensors`"}
		case seen[h.Name]:
			return &problem{Code: eider.CodeInvalid, Detail: "the tar has " + h.Name + " twice"}
		case h.Size > limit:
			return tooLarge(limit)
		}
		seen[h.Name] = true
		if err := out.file(filepath.Join(dir, h.Name), in); err != nil {
			return tarProblem(err)
		}
	}
	for name := range modelFiles {
		if !seen[name] {
			return &problem{Code: eider.CodeInvalid, Detail: "the tar lacks " + name}
		}
	}
	return nil
}

// spool writes files, of no more bytes in all than have come in: a sparse entry
// stands for zeros that nobody sent.
type spool struct {
	in  *counted
	n   int64
	out *os.File
}

func (s *spool) file(name string, in io.Reader) (err error) {
	if s.out, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return err
	}
	_, err = io.Copy(s, in)
	return errors.Join(err, s.out.Close())
}

// Write adds b to the file.
func (s *spool) Write(b []byte) (int, error) {
	if s.n += int64(len(b)); s.n > s.in.n {
		return 0, &problem{Code: eider.CodeInvalid, Detail: "the tar has an entry with holes", Hint: "pack it without --sparse"}
	}
	return s.out.Write(b)
}

// tarProblem turns what is wrong with the archive itself into a problem.
func tarProblem(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrInsecurePath) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &problem{Code: eider.CodeInvalid, Detail: "the body is not a tar archive, or is cut"}
	}
	return err
}
