package train

import "captioner/models/train/recipe"

// Options are all settings of a run. Start from DefaultOptions: zero is a real value in several fields.
type Options = recipe.Options

// DefaultOptions are the recipe of the embedded model: a small decoder that trains in minutes on two CPU cores.
func DefaultOptions() Options { return recipe.Default() }

// RecipeOptions are the defaults under a recipe; "" is DefaultOptions. The error for an unknown
// name lists those that are known.
func RecipeOptions(name string) (Options, error) { return recipe.Named(name) }
