package fetch

import (
	"context"
	"fmt"
)

// HTTPFiles is a source of single files of which everything is known, each by its address.
func HTTPFiles(client *Client, items []Item, urls map[string]string) Source {
	return &httpFiles{client: client, items: items, urls: urls}
}

type httpFiles struct {
	client *Client
	items  []Item
	urls   map[string]string // by path
}

func (h *httpFiles) Name() string { return "http" }

func (h *httpFiles) List(context.Context) ([]Item, error) {
	out := make([]Item, len(h.items))
	for i, it := range h.items {
		url := h.urls[it.Path]
		if url == "" {
			return nil, &ListError{Source: h.Name(), Path: it.Path, Problem: "it has no address", Next: "copy it from a mirror with --mirror DIR"}
		}
		if it.From == "" {
			it.From = Redact(url)
		}
		out[i] = it
	}
	return out, nil
}

func (h *httpFiles) Open(ctx context.Context, item Item, offset int64, etag string) (*Stream, error) {
	url := h.urls[item.Path]
	if url == "" {
		return nil, &badAddress{fmt.Errorf("%s has no address", item.Path)}
	}
	return h.client.Open(ctx, url, offset, etag)
}
