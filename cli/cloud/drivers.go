//go:build !nobuckets

package cloud

import (
	_ "gocloud.dev/blob/azureblob" // az://
	_ "gocloud.dev/blob/s3blob"    // s3://
)

// hasBuckets says whether the program reads s3:// and az://: their clients are a quarter of it.
const hasBuckets = true
