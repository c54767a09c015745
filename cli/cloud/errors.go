package cloud

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/aws/smithy-go"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"google.golang.org/api/googleapi"

	"captioner/cli/console"
)

// NotFoundError says that an object or its bucket is not there.
type NotFoundError struct{ Bucket bool }

func (e *NotFoundError) Error() string {
	if e.Bucket {
		return "the bucket does not exist"
	}
	return "no such object"
}

// Hint says what may help.
func (e *NotFoundError) Hint() string {
	if e.Bucket {
		return "check its name, and that the account, region and endpoint are those that have it"
	}
	return "keys know upper and lower case; a prefix of several objects ends with /"
}

// writeError is a failure of this machine, and not of the service.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }

func (e *writeError) Unwrap() error { return e.err }

// credentials says for each service where its credentials come from.
var credentials = map[string]string{
	"s3://": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or ?anonymous=true for a public bucket",
	"az://": "set AZURE_STORAGE_ACCOUNT, and AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or the login of az; or " +
		"AZURE_STORAGE_CONNECTION_STRING",
	googles: "set GOOGLE_APPLICATION_CREDENTIALS, or give ?anonymous=true for a public bucket",
}

// refusedByAzure says whether Azure's service does not let the request through: gocloud's driver calls that unknown.
func refusedByAzure(err error) bool {
	var azure *azcore.ResponseError
	return errors.As(err, &azure) &&
		(azure.StatusCode == http.StatusForbidden || azure.StatusCode == http.StatusUnauthorized)
}

// explain says in a few words what a service says in many.
func explain(ctx context.Context, b *blob.Bucket, err error) error {
	var own *writeError
	var limit *LimitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &own):
		return own.err
	case errors.As(err, &limit), errors.Is(err, errChanged), errors.Is(err, errStalled):
		return err
	case withoutCredentials(err):
		return console.WithHint(errors.New("found no credentials"), "%s", credentials["s3://"])
	}
	code := gcerrors.Code(err)
	if refusedByAzure(err) {
		code = gcerrors.PermissionDenied
	}
	switch code {
	case gcerrors.NotFound:
		there, err := b.IsAccessible(ctx)
		return &NotFoundError{Bucket: err == nil && !there}
	case gcerrors.PermissionDenied:
		return console.WithHint(fmt.Errorf("access is denied%s", said(err)),
			"the credentials of the environment need to list the bucket, to read, and for --out to write and delete")
	}
	var op *smithy.OperationError
	if errors.As(err, &op) && withoutRegion() {
		return console.WithHint(reason(err), "set AWS_REGION, or give ?region= behind the address")
	}
	return console.WithHint(reason(err), "it was tried %d times; what is done stays, and --resume goes on", tries)
}

// withoutRegion says whether the variables name no region. A profile may.
func withoutRegion() bool {
	return os.Getenv("AWS_REGION") == "" && os.Getenv("AWS_DEFAULT_REGION") == "" && !ownEndpoint(nil)
}

// withoutCredentials says whether a request was not sent because nothing signs it: the last place that is asked is the
// machine's own, of Amazon's service.
func withoutCredentials(err error) bool {
	for err != nil {
		var op *smithy.OperationError
		if !errors.As(err, &op) {
			return false
		}
		if op.Service() == "ec2imds" {
			return true
		}
		err = op.Err
	}
	return false
}

// said is what a service answers, in brackets.
func said(err error) string {
	code, _ := answer(err)
	if code == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", code)
}

// answer is the code and the message of a service's answer; "" where there is none.
func answer(err error) (code, message string) {
	var amazon smithy.APIError
	var google *googleapi.Error
	var azure *azcore.ResponseError
	switch {
	case errors.As(err, &amazon):
		return amazon.ErrorCode(), amazon.ErrorMessage()
	case errors.As(err, &google):
		return fmt.Sprint(google.Code), google.Message
	case errors.As(err, &azure) && azure.ErrorCode != "":
		return azure.ErrorCode, ""
	case errors.As(err, &azure):
		return fmt.Sprint(azure.StatusCode), ""
	}
	return "", ""
}

// reason is the innermost error that says what happened.
func reason(err error) error {
	var op *net.OpError
	var dns *net.DNSError
	code, message := answer(err)
	switch {
	case message != "":
		return fmt.Errorf("the service says %s: %s", code, oneLine(message))
	case code != "":
		return fmt.Errorf("the service says %s", code)
	case errors.As(err, &dns):
		return fmt.Errorf("%q is no machine that answers", dns.Name)
	case errors.As(err, &op):
		return fmt.Errorf("no connection to the service: %w", op.Err)
	}
	var request *smithy.OperationError
	broken := !errors.As(err, &request)
	if !broken { // what gocloud says around it, it says of the object
		err = request.Err
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	if broken {
		return fmt.Errorf("the connection broke: %s", oneLine(err.Error()))
	}
	return errors.New(oneLine(err.Error()))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
