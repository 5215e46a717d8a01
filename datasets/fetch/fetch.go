// Package fetch brings public data sets from the archives that hold them into a data folder:
// every byte verified, nothing under its name before it is whole, and the same command goes on
// where an earlier one was stopped.
//
// A Source lists what there is as Items and opens them; Run does the rest the same way for all
// sources: what is here already, room on the disk, transfers side by side, attempts, checks,
// unpacking, and the journal, which says what was fetched, from where and under which licence.
package fetch

import (
	"context"
	"io"
)

// Item is what arrives whole or not at all: a file, or a zip archive that is unpacked into a
// folder of its own (a series of DICOM files).
type Item struct {
	// Source is the word for where it comes from, of a source that joins several; empty = its Name.
	Source string
	Path   string // below the data folder, slash-separated: of the file, or of the folder that an archive is unpacked into
	From   string // where it comes from, for people: an address without credentials, or a file
	Size   int64  // bytes of the file, or of the unpacked files together; -1 where the source does not say
	// SHA256 and MD5 are of the file, in lower-case hexadecimal; empty where the source does not say.
	SHA256, MD5 string
	Gzip        bool // the file is a gzip, whose own checksum is looked at
	Archive     bool // a zip to unpack
	Files       int  // how many files an archive holds; 0 where the source does not say
	// Beside are names that an archive may hold besides its files: counted neither in Files nor in Size.
	Beside []string
	// Version changes when the item does (an ETag, a revision): what was fetched with another one
	// has changed at the source. Empty where the source has none.
	Version string
	// SeriesUID and Patient are those of a DICOM series, for the journal; else empty.
	SeriesUID, Patient string
	Modality           string
	Licence            string // what the source says of this item, for the journal
}

// Stream is an item, or the rest of it, on its way.
type Stream struct {
	Body io.ReadCloser
	// Offset is where Body begins: what was asked for, or 0 where the source cannot begin elsewhere
	// or the item has changed.
	Offset int64
	Size   int64  // of the whole transfer, in bytes; -1 where unknown
	ETag   string // a strong validator to resume by; empty = none
	// Unframed says that nothing but the end of the connection ends it, as of a server that tells no
	// length: then a cut one looks like a whole one.
	Unframed bool
	// Hashes is the name of an archive's entry that lists the MD5 of the others; empty = none. Then
	// it must be there, name every other entry but those Beside, and be right.
	Hashes string
}

// Source is an archive, or a folder, that holds a data set.
type Source interface {
	// Name is a word for messages and the journal: nbia, idc, figshare, geo, http, mirror.
	Name() string
	// List says what there is. It is called once by Run and once by a dry run.
	List(ctx context.Context) ([]Item, error)
	// Open begins the transfer of an item at an offset, as long as the item is still the one that
	// etag names (empty: whichever it is). It is tried once: Run repeats it.
	Open(ctx context.Context, item Item, offset int64, etag string) (*Stream, error)
}
