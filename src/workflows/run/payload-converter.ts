import { DefaultPayloadConverter, type Payload } from '@temporalio/common';

/**
 * Anybody who may write to the namespace can send a message in an encoding that nobody knows. What
 * cannot be read is read as nothing, and turned away like any other wrong message; an error would
 * fail every workflow task of the run from then on.
 */
class TolerantPayloadConverter extends DefaultPayloadConverter {
  override fromPayload<T>(payload: Payload): T {
    try {
      return super.fromPayload<T>(payload);
    } catch {
      return undefined as T;
    }
  }
}

export const payloadConverter = new TolerantPayloadConverter();
