package format

import (
	"encoding/binary"
	"fmt"
)

const jobVersion = 1

// JobTail is the length of what ends the file of a job: that of its envelope, u32.
const JobTail = 4

// Job ends the file of a job, after its checkpoint.
//
//	checkpoint │ envelope │ length of the envelope u32
type Job struct {
	ID    uint64
	Size  int64  // of the checkpoint, 0 if there is none yet
	Sum   uint32 // CRC32C of the checkpoint
	About []byte // of the layer above, 1 to MaxJob bytes
}

// AppendJob appends j's envelope and its length to dst. Error: ErrLimit.
func AppendJob(dst []byte, j Job) ([]byte, error) {
	if len(j.About) < 1 || len(j.About) > MaxJob || j.Size < 0 {
		return dst, fmt.Errorf("%w: job of %d bytes with a checkpoint of %d, want 1 to %d", ErrLimit, len(j.About), j.Size, MaxJob)
	}
	start := len(dst)
	dst = beginEnvelope(dst, EnvJob, jobVersion)
	dst = binary.LittleEndian.AppendUint64(dst, j.ID)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(j.Size))
	dst = binary.LittleEndian.AppendUint32(dst, j.Sum)
	dst, err := endEnvelope(append(dst, j.About...), start)
	if err != nil {
		return dst, err
	}
	return binary.LittleEndian.AppendUint32(dst, uint32(len(dst)-start)), nil
}

// JobHead returns how many bytes before the tail b of a file are its envelope.
// Error: ErrCorrupt.
func JobHead(b []byte) (int, error) {
	if len(b) != JobTail {
		return 0, corrupt("job file with a tail of %d bytes", len(b))
	}
	n := binary.LittleEndian.Uint32(b)
	if n < EnvelopeBytes || n > EnvelopeBytes+20+MaxJob {
		return 0, corrupt("job envelope of %d bytes", n)
	}
	return int(n), nil
}

// ParseJob decodes what AppendJob appended; About aliases b. Errors: ErrCorrupt,
// ErrVersion.
func ParseJob(b []byte) (Job, error) {
	end := len(b) - JobTail
	if end < 0 {
		return Job{}, corrupt("job of %d bytes", len(b))
	}
	if n, err := JobHead(b[end:]); err != nil {
		return Job{}, err
	} else if n != end {
		return Job{}, corrupt("job of %d bytes says %d", end, n)
	}
	_, body, err := OpenEnvelope(b[:end], EnvJob, jobVersion)
	if err != nil {
		return Job{}, err
	}
	c := cursor{b: body}
	j := Job{ID: c.u64(), Size: int64(c.u64()), Sum: c.u32()}
	j.About = c.b
	if c.bad || j.Size < 0 || len(j.About) < 1 || len(j.About) > MaxJob {
		return Job{}, corrupt("job of %d bytes with a checkpoint of %d", len(body), j.Size)
	}
	return j, nil
}
