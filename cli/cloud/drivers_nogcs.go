//go:build !gcs

package cloud

// hasGCS says whether the program reads gs://: Google's client makes it a half larger.
const hasGCS = false
