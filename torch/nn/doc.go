// Package nn holds the layers that the models are made of, and the walk that ties a model's fields to the names in a
// checkpoint.
//
// A model is a plain struct. Its tensors carry the checkpoint's names in tags, and nested structs and slices make the
// path:
//
//	type MLP struct {
//		In  nn.Linear `key:"c_fc"`
//		Out nn.Linear `key:"c_proj"`
//	}
//	type Model struct {
//		Blocks []MLP `key:"h"` // h.0.c_fc.weight, h.0.c_fc.bias, h.0.c_proj.weight, …
//	}
//
// A field without a tag is not part of the state. A tag that ends in ",buffer" marks a tensor that is stored but not
// trained. A nil tensor is a part that this model does without, such as a bias.
//
// Constructors give tensors of the right shapes with unset elements, which costs nothing; [Load] replaces them by those
// of a checkpoint, or the model's own initialization fills them. Tensors of a model are kept: [Free] releases them.
// Everything here runs inside torch.Do.
package nn
