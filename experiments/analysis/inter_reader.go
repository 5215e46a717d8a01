package analysis

// InterReader are the settings of the analysis inter_reader.
type InterReader struct {
}

func defaultInterReader() InterReader { return InterReader{} }
