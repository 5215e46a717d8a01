package cnn

// winogradMatrices returns the matrices of a convolution along one axis of the given size with a kernel of k: with
// x a column of size values and g one of k, fromPoints((weightsToPoints g) * (toPoints x)) is the valid convolution
// (cross-correlation), of size-k+1 values; * is value by value.
//
// toPoints is [points, size], weightsToPoints [points, k], fromPoints [size-k+1, points]. The output is cut into as
// few tiles as have at most winogradPoints points each, their lengths as equal as can be; a tile of m values has
// m+k-1 points.
func winogradMatrices(size, k int) (toPoints, weightsToPoints, fromPoints [][]float64) {
	sizeO, longest := size-k+1, winogradPoints-k+1
	tiles := (sizeO + longest - 1) / longest
	points := sizeO + tiles*(k-1)
	fromPoints = zeroMatrix(sizeO, points)
	point := 0
	for i := range tiles {
		start, end := i*sizeO/tiles, (i+1)*sizeO/tiles
		b, g, a := tileMatrices(end-start, k)
		for j := range b {
			row := make([]float64, size)
			copy(row[start:], b[j])
			toPoints = append(toPoints, row)
			weightsToPoints = append(weightsToPoints, g[j])
			for o := range a {
				fromPoints[start+o][point+j] = a[o][j]
			}
		}
		point += len(b)
	}
	return toPoints, weightsToPoints, fromPoints
}

// tileMatrices returns the matrices of one tile of m outputs by the method of Toom and Cook: two polynomials are
// multiplied by way of their values at m+k-2 points and at infinity, and a filter is the transpose of that product.
// B is [m+k-1, m+k-1], G [m+k-1, k], A [m, m+k-1].
func tileMatrices(m, k int) (b, g, a [][]float64) {
	n := m + k - 1
	at := []float64{0, 1, -1, 2, -2, 0.5, -0.5}[:n-1]
	b, g, a = zeroMatrix(n, n), zeroMatrix(n, k), zeroMatrix(m, n)
	for j, p := range at {
		poly, scale := []float64{1}, 1.0 // the product of (x - q) over the other points, and its value at p
		for l, q := range at {
			if l != j {
				poly = timesLinear(poly, q)
				scale *= p - q
			}
		}
		copy(b[j], poly)
		power := 1.0
		for i := range max(m, k) {
			if i < k {
				g[j][i] = power / scale
			}
			if i < m {
				a[i][j] = power
			}
			power *= p
		}
	}
	all := []float64{1}
	for _, q := range at {
		all = timesLinear(all, q)
	}
	copy(b[n-1], all)
	g[n-1][k-1], a[m-1][n-1] = 1, 1
	return b, g, a
}

// timesLinear returns the polynomial times (x - q); coefficients go from the constant upwards.
func timesLinear(poly []float64, q float64) []float64 {
	r := make([]float64, len(poly)+1)
	for i, c := range poly {
		r[i+1] += c
		r[i] -= q * c
	}
	return r
}

func zeroMatrix(rows, columns int) [][]float64 {
	m := make([][]float64, rows)
	for i := range m {
		m[i] = make([]float64, columns)
	}
	return m
}

func transposed(m [][]float64) [][]float64 {
	t := zeroMatrix(len(m[0]), len(m))
	for i, row := range m {
		for j, v := range row {
			t[j][i] = v
		}
	}
	return t
}
