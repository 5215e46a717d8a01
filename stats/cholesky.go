package stats

import "math"

// The systems here are as large as the covariates of a model: tens, not thousands.

func newMatrix(n int) [][]float64 {
	flat := make([]float64, n*n)
	m := make([][]float64, n)
	for i := range m {
		m[i] = flat[i*n : (i+1)*n]
	}
	return m
}

// factorise replaces the lower triangle of a symmetric matrix by its Cholesky
// factor. It returns the first row that is a combination of the rows before it (to
// a relative 1e-10) or not finite, -1 if there is none.
func factorise(a [][]float64) int {
	for i := range a {
		diagonal := a[i][i]
		for j := 0; j <= i; j++ {
			sum := a[i][j]
			for k := range j {
				sum -= a[i][k] * a[j][k]
			}
			if i > j {
				a[i][j] = sum / a[j][j]
			} else if sum > 1e-10*diagonal {
				a[i][i] = math.Sqrt(sum)
			} else {
				return i // also when sum is NaN
			}
		}
	}
	return -1
}

// forward solves L y = b for the Cholesky factor L.
func forward(l [][]float64, b []float64) []float64 {
	y := make([]float64, len(b))
	for i := range b {
		sum := b[i]
		for k := range i {
			sum -= l[i][k] * y[k]
		}
		y[i] = sum / l[i][i]
	}
	return y
}

// solve gives x with A x = b for the Cholesky factor l of A.
func solve(l [][]float64, b []float64) []float64 {
	x := forward(l, b)
	for i := len(x) - 1; i >= 0; i-- {
		for k := i + 1; k < len(x); k++ {
			x[i] -= l[k][i] * x[k]
		}
		x[i] /= l[i][i]
	}
	return x
}

// quadraticForm is b' A^-1 b for the Cholesky factor l of A.
func quadraticForm(l [][]float64, b []float64) float64 {
	sum := 0.0
	for _, v := range forward(l, b) {
		sum += v * v
	}
	return sum
}

// invert gives A^-1 for the Cholesky factor l of A.
func invert(l [][]float64) [][]float64 {
	inverse := newMatrix(len(l))
	unit := make([]float64, len(l))
	for i := range l {
		clear(unit)
		unit[i] = 1
		copy(inverse[i], solve(l, unit))
	}
	return inverse
}
