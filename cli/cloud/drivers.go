package cloud

import (
	_ "gocloud.dev/blob/azureblob" // az://
	_ "gocloud.dev/blob/s3blob"    // s3://
)
