package engine

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
)

// checkBinary reads the file of an engine's library, without running any of it, and says what keeps it from being
// loaded into this process: not a shared library, made for another processor or system, cut short, or without the
// function named symbol. Loading such a file would at best say so less clearly; a file cut short ends the process.
//
// Errors: *LibraryError.
func checkBinary(name, file, symbol string) error {
	bad := func(err error, next, problem string, args ...any) error {
		return &LibraryError{Engine: name, File: file, Problem: fmt.Sprintf(problem, args...), Next: next, Err: err}
	}
	again := fmt.Sprintf("install it again with `%s`", setupCommand(name))
	f, err := os.Open(file)
	if err != nil {
		return bad(err, again, "it cannot be read")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return bad(err, again, "it cannot be read")
	}
	if !info.Mode().IsRegular() {
		return bad(nil, "name the library's file", "it is not a file")
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(f, head); err != nil {
		return bad(nil, again, "it is not a shared library but a file of %d bytes", info.Size())
	}
	var symbols []string
	switch {
	case bytes.Equal(head, []byte(elf.ELFMAG)):
		if runtime.GOOS == "darwin" {
			return bad(nil, again, "it is a library for Linux, this system is %s", runtime.GOOS)
		}
		symbols, err = checkELF(f, info.Size())
	case bytes.Equal(head, []byte{0xcf, 0xfa, 0xed, 0xfe}), bytes.Equal(head, []byte{0xca, 0xfe, 0xba, 0xbe}):
		if runtime.GOOS != "darwin" {
			return bad(nil, again, "it is a library for macOS, this system is %s", runtime.GOOS)
		}
		symbols, err = machoSymbols(f)
	case head[0] == 'M' && head[1] == 'Z':
		return bad(nil, again, "it is a library for Windows, this system is %s", runtime.GOOS)
	default:
		return bad(nil, again, "it is not a shared library (it begins with %q)", head)
	}
	if err != nil {
		return bad(nil, again, "%v", err)
	}
	for _, s := range symbols {
		if s == symbol {
			return nil
		}
	}
	return bad(nil, again, "it is a shared library, but not of this engine: it has no function %s", symbol)
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkELF checks a library of Linux and returns the names of the functions that it offers.
func checkELF(f *os.File, size int64) ([]string, error) {
	lib, err := elf.NewFile(f)
	if err != nil {
		// The table of sections stands at the end.
		return nil, fmt.Errorf("it is damaged or cut short after %d bytes: %w", size, err)
	}
	defer lib.Close()
	if lib.Machine != machines[runtime.GOARCH] || lib.Class != elf.ELFCLASS64 {
		return nil, fmt.Errorf("it is made for another processor (%v, this machine is %s)", lib.Machine, runtime.GOARCH)
	}
	if lib.Type != elf.ET_DYN {
		return nil, fmt.Errorf("it is not a shared library (%v)", lib.Type)
	}
	for _, p := range lib.Progs {
		if end := p.Off + p.Filesz; p.Type == elf.PT_LOAD && end > uint64(size) {
			return nil, fmt.Errorf("it is cut short: %d bytes of at least %d", size, end)
		}
	}
	offered, err := lib.DynamicSymbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	var names []string
	for _, s := range offered {
		if s.Section != elf.SHN_UNDEF {
			names = append(names, s.Name)
		}
	}
	return names, nil
}

// machoSymbols returns the names of the functions that a library of macOS has, one for several processors included.
func machoSymbols(f *os.File) ([]string, error) {
	cpu := map[string]macho.Cpu{"amd64": macho.CpuAmd64, "arm64": macho.CpuArm64}[runtime.GOARCH]
	var lib *macho.File
	if fat, err := macho.NewFatFile(f); err == nil {
		for _, arch := range fat.Arches {
			if arch.Cpu == cpu {
				lib = arch.File
			}
		}
		if lib == nil {
			return nil, fmt.Errorf("it is made for other processors, this machine is %s", runtime.GOARCH)
		}
	} else if lib, err = macho.NewFile(f); err != nil {
		return nil, fmt.Errorf("it is damaged or cut short: %w", err)
	}
	if lib.Cpu != cpu {
		return nil, fmt.Errorf("it is made for another processor (%v, this machine is %s)", lib.Cpu, runtime.GOARCH)
	}
	var names []string
	if lib.Symtab != nil {
		for _, s := range lib.Symtab.Syms {
			if len(s.Name) > 1 && s.Sect != 0 {
				names = append(names, s.Name[1:]) // the system puts an underscore before names of C
			}
		}
	}
	return names, nil
}
