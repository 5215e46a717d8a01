package nb

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"html"
	"strings"
)

// widget is a part of the page that answers in the browser, without a run of the cell. Its
// data, its style and its script go into the page with it: nothing is fetched, and it
// works without a kernel, also in a saved HTML file. still is what is seen without the script,
// which finds its element by the word HNB_ID.
func widget(data any, style, script, still string) string {
	text, err := json.Marshal(data)
	Check(err)
	id := html.EscapeString(fmt.Sprintf("hnb-%x", sha256.Sum256(text))[:16])
	var b bytes.Buffer
	// The attribute keeps JupyterLab from taking the arrow keys of a slider for its own.
	fmt.Fprintf(&b, `<div class="hnb" data-hnb="%s" data-lm-suppress-shortcuts="true"><style>%s</style><div class="hnb-body">%s</div>`, id, style, still)
	// JSON escapes <, > and &, so that the data cannot end the script element.
	fmt.Fprintf(&b, `<script type="application/json" class="hnb-data">%s</script><script>%s</script></div>`, text, strings.ReplaceAll(script, "HNB_ID", id))
	return b.String()
}
