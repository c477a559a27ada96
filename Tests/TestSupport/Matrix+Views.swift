import Deterministic
import Host
package import OracleBackend
package import Tensor

extension Matrix {
  /// The elements of a view in the memory of this process, widened.
  package init(_ view: View) {
    self.init(rows: view.rows, columns: view.columns, values: view.elements.map(Double.init))
  }

  /// A matrix of seeded normal numbers.
  package init(rows: Int, columns: Int, seed: UInt64, deviation: Double = 1) {
    self.init(rows: rows, columns: columns)
    let random = CounterRandom(seed: seed)
    for index in values.indices {
      values[index] = deviation * random.gaussian(UInt64(index))
    }
  }
}

extension ReferenceProjectedCombiner {
  package init(_ problem: AttentionCase, _ projection: CombinerProjection, _ shape: CombinerShape) {
    self.init(
      qkv: (Matrix(problem.q), Matrix(problem.k), Matrix(problem.v)),
      input: Matrix(projection.input),
      own: [
        Matrix(projection.summaryWeight), Matrix(projection.addressWeight),
        Matrix(projection.gain), Matrix(projection.bias),
      ], starts: problem.starts, shape: shape, epsilon: Double(projection.epsilon))
  }
}
