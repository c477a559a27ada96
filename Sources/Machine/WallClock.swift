import Dispatch

/// The clock of measurements.
package enum WallClock {
  /// Seconds on the wall since some moment.
  package static func seconds() -> Double {
    Double(DispatchTime.now().uptimeNanoseconds) * 1e-9
  }
}
