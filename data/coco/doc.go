// Package coco fetches the photographs and captions of COCO 2014 from where they are published.
//
// The archives are never on the disk: their directories are read first, then the members that are missing here come in
// long stretches over a few connections, and each is checked and written as it passes. So what was cut goes on with the
// next member, and one that is damaged is fetched again by itself.
package coco
