package fetchtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// File is a file of a series or a folder.
type File struct {
	Name string
	Data []byte
}

// Series is a DICOM series, as an archive holds it.
type Series struct {
	Collection, Patient, Study, UID, Modality, Licence string

	Files []File
}

// size is the bytes of all files.
func (s Series) size() (n int64) {
	for _, f := range s.Files {
		n += int64(len(f.Data))
	}
	return n
}

// Bytes are n bytes that look like noise and are the same for the same seed.
func Bytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	x := seed*0x9E3779B97F4A7C15 + 0x1234567
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return b
}

// DICOM is a small file of DICOM Part 10, explicit VR little endian: the identifiers of one
// instance and so many bytes of noise in the place of its picture. It is no whole image.
func DICOM(patient, study, series, instance, modality string, noise int) []byte {
	var b bytes.Buffer
	b.Write(make([]byte, 128))
	b.WriteString("DICM")
	element := func(group, element uint16, vr, value string) {
		if len(value)%2 == 1 {
			pad := " "
			if vr == "UI" || vr == "OB" {
				pad = "\x00"
			}
			value += pad
		}
		binary.Write(&b, binary.LittleEndian, []uint16{group, element})
		b.WriteString(vr)
		if vr == "OB" {
			binary.Write(&b, binary.LittleEndian, uint16(0))
			binary.Write(&b, binary.LittleEndian, uint32(len(value)))
		} else {
			binary.Write(&b, binary.LittleEndian, uint16(len(value)))
		}
		b.WriteString(value)
	}
	const ct, explicit = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
	even := func(s string) int { return 8 + len(s) + len(s)%2 }
	length := 14 + even(ct) + even(instance) + even(explicit) // 14: the version element
	var n [4]byte
	binary.LittleEndian.PutUint32(n[:], uint32(length))
	element(0x0002, 0x0000, "UL", string(n[:]))
	element(0x0002, 0x0001, "OB", "\x00\x01")
	element(0x0002, 0x0002, "UI", ct)
	element(0x0002, 0x0003, "UI", instance)
	element(0x0002, 0x0010, "UI", explicit)
	element(0x0008, 0x0016, "UI", ct)
	element(0x0008, 0x0018, "UI", instance)
	element(0x0008, 0x0060, "CS", modality)
	element(0x0010, 0x0020, "LO", patient)
	element(0x0020, 0x000D, "UI", study)
	element(0x0020, 0x000E, "UI", series)
	var seed uint64
	for _, c := range []byte(instance) {
		seed = seed*31 + uint64(c)
	}
	element(0x7FE0, 0x0010, "OB", string(Bytes(seed, noise)))
	return b.Bytes()
}

// Cohort is a small collection: each patient has a CT of three slices and a contour of one file.
func Cohort(collection string, patients ...string) []Series {
	var all []Series
	for i, p := range patients {
		study := fmt.Sprintf("1.3.6.1.4.1.99.%d", i+1)
		for j, modality := range []string{"CT", "RTSTRUCT"} {
			uid := fmt.Sprintf("%s.%d", study, j+1)
			s := Series{Collection: collection, Patient: p, Study: study, UID: uid, Modality: modality,
				Licence: "Creative Commons Attribution 3.0 Unported License"}
			for k := range []int{3, 1}[j] {
				sop := fmt.Sprintf("%s.%d", uid, k+1)
				s.Files = append(s.Files, File{fmt.Sprintf("%08d.dcm", k+1), DICOM(p, study, uid, sop, modality, 1000+100*k)})
			}
			all = append(all, s)
		}
	}
	return all
}

// sortedKeys are the keys of a map, sorted.
func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// notFound is the answer to a path that is not there.
func notFound(kind Kind) answer {
	return answer{kind: kind, status: 404, header: header("text/plain"), body: []byte("404 page not found\n")}
}

func header(contentType string) map[string][]string {
	return map[string][]string{"Content-Type": {contentType}}
}

func join(parts ...string) string { return strings.Join(parts, "/") }
