package torch

var PlainPanels = plainPanels
