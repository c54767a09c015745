//go:build nobuckets

package cloud

// hasBuckets says whether the program reads s3:// and az://: their clients are a quarter of it.
const hasBuckets = false
