//go:build gcs

package cloud

import _ "gocloud.dev/blob/gcsblob" // gs://

// hasGCS says whether the program reads gs://: Google's client makes it a half larger.
const hasGCS = true
