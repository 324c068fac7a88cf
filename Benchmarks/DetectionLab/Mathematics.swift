import Glibc

/// exp(x) - 1.
func expm1Of(_ x: Double) -> Double { expm1(x) }

func expOf(_ x: Double) -> Double { exp(x) }
