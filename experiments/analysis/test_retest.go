package analysis

// TestRetest are the settings of the analysis test_retest.
type TestRetest struct {
}

func defaultTestRetest() TestRetest { return TestRetest{} }
