// Package cloud reads, lists and writes objects in S3 and what speaks its language, in Azure's Blob Storage and in
// Google's Cloud Storage. It is a thin layer over gocloud.dev/blob: addresses and credentials are those of its drivers
// (gocloud.dev/howto/blob), a read that is cut off goes on where it stopped, and an object is written whole or not at
// all.
package cloud

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"captioner/cli/console"
)

// schemes are the beginnings of addresses, and what gocloud calls them.
var schemes = map[string]string{"s3://": "s3://", googles: "gs://", "az://": "azblob://"}

// googles is the scheme of the service that has a driver of captioner's own (room gcs).
const googles = "gs://"

// Is says whether an argument names objects in a cloud.
func Is(arg string) bool {
	_, ok := schemes[scheme(arg)]
	return ok
}

func scheme(arg string) string {
	i := strings.Index(arg, "://")
	if i < 0 {
		return ""
	}
	return strings.ToLower(arg[:i+3])
}

// Local is the path that a file:// address names; any other argument is its own path.
func Local(arg string) (string, error) {
	if scheme(arg) != "file://" {
		return arg, nil
	}
	u, err := url.Parse(arg)
	switch {
	case err != nil:
		return "", fmt.Errorf("it is no address: %w", err)
	case u.Host != "" && u.Host != "localhost":
		return "", fmt.Errorf("found the machine %q, want three slashes: file:///%s%s", u.Host, u.Host, u.Path)
	case u.Path == "":
		return "", fmt.Errorf("found no path, want file:///folder/file")
	}
	return filepath.FromSlash(u.Path), nil
}

// Place is an object in a bucket, or what the names of several begin with. The key stands as it is: no character of it
// is written as %20.
type Place struct {
	Key    string
	scheme string // "s3://"
	bucket string
	query  string // of the driver: "region=eu-west-1"
}

// query finds the options of a driver behind an address: a "?" of a pattern has no name and "=" behind it.
var query = regexp.MustCompile(`\?[A-Za-z_0-9]+=[^/?]*$|\?[A-Za-z_0-9]+=.*://[^?]*$`)

// Parse reads an address: s3://BUCKET/KEY, with the options of gocloud's driver behind it: ?region=eu-west-1.
func Parse(arg string) (p Place, err error) {
	p.scheme = scheme(arg)
	if schemes[p.scheme] == "" {
		return p, fmt.Errorf("found %q, want s3://, gs:// or az://", arg)
	}
	if !hasBuckets {
		return p, console.WithHint(fmt.Errorf("this captioner is built without the clients of %s", p.scheme),
			"build it without the tag nobuckets")
	}
	rest := arg[len(p.scheme):]
	if at := query.FindStringIndex(rest); at != nil {
		p.query, rest = rest[at[0]+1:], rest[:at[0]]
	}
	p.bucket, p.Key, _ = strings.Cut(rest, "/")
	if p.bucket == "" || strings.ContainsAny(p.bucket, "*?[{@ ") {
		return p, fmt.Errorf("found the bucket %q, want a name, as in %sphotos/2026/", p.bucket, p.scheme)
	}
	if _, err := url.ParseQuery(p.query); err != nil {
		return p, fmt.Errorf("found %q behind the address: %w", p.query, err)
	}
	return p, nil
}

// String is the address without options.
func (p Place) String() string { return p.scheme + p.bucket + "/" + p.Key }

// At is another object of the same bucket.
func (p Place) At(key string) Place {
	p.Key = key
	return p
}

// patterns are the characters that make a pattern of a key.
const patterns = `*?[{\\`

// IsPattern says whether the key is a pattern of keys.
func (p Place) IsPattern() bool { return strings.ContainsAny(p.Key, "*?[{") }

// Matches says whether the place is another one, or a pattern that it matches.
func (p Place) Matches(o Place) bool {
	if p.scheme != o.scheme || p.bucket != o.bucket {
		return false
	}
	return p.Key == o.Key || p.IsPattern() && doublestar.MatchUnvalidated(p.Key, o.Key)
}

// Like is the place with the options of an address, which String leaves out.
func (p Place) Like(address string) (Place, error) {
	o, err := Parse(address)
	p.query = o.query
	return p, err
}

// address is what gocloud opens. Servers of one's own have no name for each bucket, and know no region.
func (p Place) address() string {
	q, _ := url.ParseQuery(p.query)
	const validation = "response_checksum_validation" // of what has none, the client writes a line to standard error
	if p.scheme == "s3://" && !q.Has(validation) {
		q.Set(validation, "when_required")
	}
	if p.scheme == "s3://" && ownEndpoint(q) {
		if !q.Has("use_path_style") && !q.Has("s3ForcePathStyle") {
			q.Set("use_path_style", "true")
		}
		if !q.Has("hostname_immutable") && q.Has("endpoint") {
			q.Set("hostname_immutable", "true")
		}
		if !q.Has("region") && os.Getenv("AWS_REGION") == "" && os.Getenv("AWS_DEFAULT_REGION") == "" {
			q.Set("region", "us-east-1")
		}
	}
	address := schemes[p.scheme] + p.bucket
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	return address
}

// ownEndpoint says whether the requests go to another service than Amazon's.
func ownEndpoint(q url.Values) bool {
	return q.Has("endpoint") || os.Getenv("AWS_ENDPOINT_URL_S3") != "" || os.Getenv("AWS_ENDPOINT_URL") != ""
}
