package format

// Caps on what a directory may hold. An encoder refuses more with ErrLimit; a
// decoder calls more damage. Raising one needs a new version of the artefact it
// bounds, because older binaries refuse what they cannot have written.
const (
	MaxFields  = 1024     // fields of a document
	MaxName    = 128      // bytes of a field name
	MaxValue   = 16 << 20 // bytes of one encoded value
	MaxList    = 65536    // scalars in a multi-valued field
	MaxID      = 512      // bytes of a string id
	MaxBody    = 64 << 20 // bytes of an envelope's body, hence of a document
	MaxTerm    = 1024     // bytes of a posting term before escaping
	MaxSchema  = 4 << 20  // bytes of a collection's schema
	MaxChange  = 1 << 20  // operations of one changelog entry
	MaxLabel   = 64       // bytes of a collection or alias name
	MaxChunk   = 1 << 20  // bytes of payload of an index snapshot chunk
	MaxVector  = 4096 * 8 // bytes of one stored vector
	MaxDropped = 4096     // dropped vector fields of a collection
	MaxVectors = 256      // vector fields of a document

	MaxContext = 1 << 16 // bytes of the context of an event

	MaxJob = 1 << 20 // bytes of what the layer above knows of a job

	MaxRotation = 3072 // components of the vectors that a rotation turns

	MaxTensors      = 65536   // tensors of a safetensors file
	MaxTensorRank   = 8       // dimensions of a tensor
	MaxTensorName   = 512     // bytes of a tensor's name
	MaxTensorHeader = 1 << 20 // bytes of a safetensors JSON header
	MaxWeights      = 1 << 36 // bytes of the tensors of one model

	MaxMetrics     = 256     // metrics of a model version
	MaxModelConfig = 1 << 20 // bytes of a model's own configuration
	MaxNote        = 256     // bytes of a code revision, a test set's name, a promotion's note
)
