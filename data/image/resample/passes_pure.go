package resample

var passes = pure
