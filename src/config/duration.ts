import { z } from 'zod';
import { durationMs, durationPattern } from '../contract/duration.ts';

/** A duration as in run inputs, as milliseconds. */
export const duration = z
  .string()
  .regex(durationPattern, 'is not a duration such as 500ms, 30s or 5m')
  .transform(durationMs);
