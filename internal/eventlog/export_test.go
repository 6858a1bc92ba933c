package eventlog

// What the tests need of the inside.
const (
	Batch        = batch
	SequenceLock = sequenceLock
	Pace         = pace

	AppendPostgres = appendPostgres
)

var (
	Trim = (*Log).trim
	Move = (*Log).move
	Lock = lock
)
