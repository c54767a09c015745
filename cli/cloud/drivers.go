//go:build !nobuckets

package cloud

import (
	_ "gocloud.dev/blob/azureblob" // az://
	_ "gocloud.dev/blob/s3blob"    // s3://

	"captioner/cli/cloud/gcs"
)

// hasBuckets says whether the program reads buckets: the clients of the services are a quarter of it.
const hasBuckets = true

var openGoogle = gcs.Open // gs://
