package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/storage/format"
)

// Unfinished work of the layer above is a file each in the directory jobs, derived
// like an index snapshot: not in the log, not in backups, of no use to anybody once
// the job has ended. A file takes the place of the one before when it is whole, and
// has its envelope at the end, since size and sum of the checkpoint are known last:
//
//	write id.new ── sync it ── rename to id ── sync the directory
const jobDir = "jobs"

func (s *Store) jobFile(id uint64) string {
	return s.fs.PathJoin(s.dir, jobDir, fmt.Sprintf("%016x", id))
}

// unfinished ends the names of files that are being written.
const unfinished = ".new"

// SaveJob stores what is known of a job and the checkpoint that write writes, nil
// for none, in place of what was stored of it before; durable on return. On any
// error, and after a crash at any moment, what was stored before stays. At most one
// call for an id at a time. Errors: ErrReadOnly, ErrClosed, ErrFull, ErrLimit of
// package format, ctx's, write's own.
func (s *Store) SaveJob(ctx context.Context, id uint64, about []byte, write func(io.Writer) error) error {
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	v, err := s.Acquire() // keeps Close waiting
	if err != nil {
		return err
	}
	defer v.Release()
	if err := s.quota.full(); err != nil {
		return err
	}
	path := s.jobFile(id)
	if err := makeDir(s.fs, s.fs.PathDir(path)); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	f, err := s.fs.Create(path+unfinished, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	w := &snapshotWriter{ctx: ctx, f: vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: 1 << 20})}
	if write != nil {
		err = write(w)
	}
	var tail []byte
	if err == nil {
		tail, err = format.AppendJob(nil, format.Job{ID: id, Size: w.size, Sum: w.sum, About: about})
	}
	if err == nil {
		_, err = w.Write(tail)
	}
	if err == nil {
		err = w.f.Sync()
	}
	if err = errors.Join(err, w.f.Close()); err == nil {
		err = s.fs.Rename(path+unfinished, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("job: %w", err), s.fs.Remove(path+unfinished))
	}
	s.jobBytes()
	return syncDir(s.fs, s.fs.PathDir(path))
}

// jobBytes counts the files of jobs into what the quota bounds, and returns their
// names.
func (s *Store) jobBytes() []string {
	dir := s.fs.PathJoin(s.dir, jobDir)
	names, err := s.fs.List(dir)
	if err != nil {
		return nil // there is none
	}
	var n int64
	for _, name := range names {
		if info, err := s.fs.Stat(s.fs.PathJoin(dir, name)); err == nil {
			n += info.Size()
		}
	}
	s.jobSize.Store(n)
	slices.Sort(names)
	return names
}

// DropJob deletes what is stored of a job, if there is anything. Errors:
// ErrReadOnly, ErrClosed.
func (s *Store) DropJob(id uint64) error {
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	v, err := s.Acquire() // keeps Close waiting
	if err != nil {
		return err
	}
	defer v.Release()
	err = s.fs.Remove(s.jobFile(id))
	s.jobBytes()
	if err == nil {
		err = syncDir(s.fs, s.fs.PathJoin(s.dir, jobDir))
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Jobs lists the jobs of which something is stored, and deletes the files that are
// damaged or were not finished; what it says of checkpoints is not checked before
// LoadJob. Call it before any other of these. Error: ErrReadOnly.
func (s *Store) Jobs() (all []format.Job, err error) {
	if s.opts.ReadOnly {
		return nil, ErrReadOnly
	}
	for _, name := range s.jobBytes() {
		path := s.fs.PathJoin(s.dir, jobDir, name)
		j, err := s.readJob(path, nil)
		if err == nil && path == s.jobFile(j.ID) {
			all = append(all, j)
			continue
		}
		if errors.Is(err, ErrVersion) {
			continue // of a newer binary, which may come back
		}
		if !strings.HasSuffix(name, unfinished) {
			s.opts.Logger.Warn("storage: what was stored of a job is damaged and is deleted", "file", path, "error", err)
		}
		if err := s.fs.Remove(path); err != nil {
			s.opts.Logger.Warn("storage: deleting what was stored of a job", "file", path, "error", err)
		}
	}
	s.jobBytes()
	return all, nil
}

// LoadJob returns the checkpoint of a job, checked, nil if none is stored. Errors:
// ErrCorrupt, ErrVersion, the operating system's.
func (s *Store) LoadJob(id uint64) ([]byte, error) {
	var b bytes.Buffer
	j, err := s.readJob(s.jobFile(id), &b)
	if err == nil && (j.ID != id || format.Checksum(b.Bytes()) != j.Sum) {
		err = fmt.Errorf("%w: the checkpoint of job %016x does not match its checksum", ErrCorrupt, id)
	}
	if err != nil || b.Len() == 0 {
		return nil, err
	}
	return b.Bytes(), nil
}

// readJob reads the end of a job's file, and with checkpoint not nil what is before.
func (s *Store) readJob(path string, checkpoint *bytes.Buffer) (format.Job, error) {
	f, err := s.fs.Open(path)
	if err != nil {
		return format.Job{}, fmt.Errorf("job: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return format.Job{}, fmt.Errorf("job: %w", err)
	}
	return readJob(f, info.Size(), checkpoint)
}

func readJob(f io.ReaderAt, size int64, checkpoint *bytes.Buffer) (format.Job, error) {
	short := fmt.Errorf("%w: job file of %d bytes", ErrCorrupt, size)
	tail := make([]byte, format.JobTail)
	if size < int64(len(tail)) {
		return format.Job{}, short
	}
	if _, err := f.ReadAt(tail, size-format.JobTail); err != nil {
		return format.Job{}, fmt.Errorf("job: %w", err)
	}
	n, err := format.JobHead(tail)
	if err != nil {
		return format.Job{}, err
	}
	at := size - format.JobTail - int64(n)
	if at < 0 {
		return format.Job{}, short
	}
	end := make([]byte, n+format.JobTail)
	if _, err := f.ReadAt(end, at); err != nil {
		return format.Job{}, fmt.Errorf("job: %w", err)
	}
	j, err := format.ParseJob(end)
	if err == nil && j.Size != at {
		err = fmt.Errorf("%w, %d of a checkpoint of %d", short, at, j.Size)
	}
	if err != nil || checkpoint == nil {
		return j, err
	}
	checkpoint.Grow(int(j.Size))
	_, err = io.Copy(checkpoint, io.NewSectionReader(f, 0, j.Size))
	return j, err
}
