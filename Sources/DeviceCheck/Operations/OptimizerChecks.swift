import Tensor

/// Optimizers and the norm, against the oracle.
extension DeviceCheck {
  package static let optimizers: [DeviceCheck] =
    [1, 7, 8, 1_001].map(adamW)
    + MuonForm.allCases.flatMap { form in
      [(1, 1), (1, 9), (9, 1), (13, 7), (40, 40), (24, 70)].map { muon($0, $1, form) }
    }
    + [0, 1, 33, 513, 70_003].map(sumOfSquares)
    + [1, 7, 8, 1_001].map(moveAverage)
    + [1, 8, 33, 192, 300].map(moveRows)

  private static func adamW(_ count: Int) -> DeviceCheck {
    DeviceCheck("AdamW of \(count)", relative: { min($0, 1e-5) }) { stage in
      let parameters = try stage.random(1, count, seed: 1, for: .master)
      let (first, second) = (
        try stage.zeros(1, count, for: .master), try stage.zeros(1, count, for: .master)
      )
      for step in 1...5 {
        let gradients = try stage.random(
          1, count, seed: 10 + UInt64(step), deviation: 0.1, for: .master)
        stage.kernels.adamW(
          parameters: parameters, gradients: gradients, firstMoment: first, secondMoment: second,
          AdamWStep(
            rate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1, step: step,
            gradientScale: 0.5))
      }
      return [("parameters", parameters), ("first", first), ("second", second)]
    }
  }

  /// A bound of its own: the steps of Newton and Schulz lift the smallest singular values, and with
  /// them their rounding, by up to 3.4 each.
  private static func muon(_ rows: Int, _ columns: Int, _ form: MuonForm) -> DeviceCheck {
    let suffix = form == .standard ? "" : ", \(form.rawValue) form"
    return DeviceCheck("Muon [\(rows), \(columns)]\(suffix)", relative: { _ in 1e-4 }) { stage in
      let parameters = try stage.random(rows, columns, seed: 1, for: .master)
      let momentum = try stage.zeros(rows, columns, for: .master)
      for step in 1...3 {
        let gradients = try stage.random(
          rows, columns, seed: 10 + UInt64(step), deviation: 0.1, for: .master)
        stage.kernels.muon(
          [MuonMatrix(parameters: parameters, gradients: gradients, momentum: momentum)],
          MuonStep(rate: 0.02, beta: 0.9, decay: 0.1, gradientScale: 0.5, form: form))
      }
      return [("parameters", parameters), ("momentum", momentum)]
    }
  }

  private static func moveAverage(_ count: Int) -> DeviceCheck {
    DeviceCheck("average of \(count)", relative: { min($0, 1e-6) }) { stage in
      let average = try stage.random(1, count, seed: 1, for: .master)
      for (step, share) in [Float(0.5), 0.1, 0.01].enumerated() {
        let x = try stage.random(1, count, seed: 10 + UInt64(step), for: .master)
        stage.kernels.moveAverage(average, towards: x, share: share)
      }
      return [("average", average)]
    }
  }

  private static func moveRows(_ columns: Int) -> DeviceCheck {
    DeviceCheck("rows of \(columns) moved", relative: { min($0, 1e-5) }) { stage in
      let table = try stage.random(50, columns, seed: 1, for: .master)
      let squares = try stage.zeros(1, 50, for: .master)
      for step in 1...3 {
        let gradients = try stage.random(
          20, columns, seed: 10 + UInt64(step), deviation: 0.1, for: .master)
        // The last has never been pulled at, and stays.
        stage.kernels.fill(gradients.rows(19..<20), with: 0)
        let rows = (0..<19).map { Int32($0 * step) % 49 } + [49]
        let unique = Set(rows).sorted()
        stage.kernels.moveRows(
          table: table, squares: squares, gradients: gradients.rows(20 - unique.count..<20),
          rows: try stage.kernels.place(unique), rate: 0.02)
      }
      return [("table", table), ("squares", squares)]
    }
  }

  private static func sumOfSquares(_ count: Int) -> DeviceCheck {
    DeviceCheck("sum of squares of \(count)") { kernels in
      let sums = try [kernels, Oracle.kernels].map { kernels in
        try kernels.sumOfSquares(
          try Stage(kernels).random(1, count, seed: 1, for: .master))
      }
      let difference = abs(sums[0] - sums[1])
      return [
        Finding(what: "sum", error: difference == 0 ? 0 : difference / sums[1], bound: 1e-5)
      ]
    }
  }
}
