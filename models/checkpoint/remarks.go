package checkpoint

import (
	"fmt"
	"os"
	"strings"

	"captioner/models/family"
	"captioner/weights"
)

// Remarks are what a user should know of the files, a line each: what in them is not used. Loading adds to them.
func (c *Checkpoint) Remarks() []string { return c.remarks }

// used runs load on the tensors of src that are of the model, and remarks the others.
func (c *Checkpoint) used(src weights.Source, load func(weights.Source) error) error {
	left, err := weights.LoadUsed(src, load)
	if len(left) > 0 {
		c.remarks = append(c.remarks, unusedRemark(left))
	}
	return err
}

func unusedRemark(names []string) string {
	first := strings.TrimPrefix(names[0], family.DecoderPrefix)
	if len(names) == 1 {
		return fmt.Sprintf("a tensor of the file is not used, for the model has none of that name: %q", first)
	}
	const many = "%d tensors of the file are not used, for the model has none of these names; the first is %q"
	return fmt.Sprintf(many, len(names), first)
}

// adapterRemark says that an adapter lies beside whole weights in the folder at path; "" where none does.
func adapterRemark(path string) string {
	entries, err := os.ReadDir(path)
	if err != nil {
		return "" // a file
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, "adapter_model.") || name == "adapter_config.json" {
			return fmt.Sprintf("%s beside the weights is not used: unless they hold it already, merge it by peft, "+
				"model.merge_and_unload().save_pretrained(FOLDER)", name)
		}
	}
	return ""
}
