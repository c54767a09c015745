package published

import "os"

// Demo is the name of the built-in model.
const Demo = "demo"

// BuiltIn says whether a name is the built-in model's, and no file is called so.
func BuiltIn(name string) bool {
	if name != Demo {
		return false
	}
	_, err := os.Stat(name)
	return err != nil
}
