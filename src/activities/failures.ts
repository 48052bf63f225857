/** The one place that decides what an error of an outside system means and whether trying again helps. */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { isGrpcServiceError } from '@temporalio/client';
import pg from 'pg';
import { TokenError } from '../authority/register.ts';
import { SettingsError } from '../config/settings.ts';
import { failureTypes, type FailureType } from '../contract/failures.ts';
import { HttpError, HttpUnreachable } from './features/http.ts';
import { KubernetesError, KubernetesUnreachable } from './kubernetes/api.ts';
import { KubeconfigError } from './kubernetes/kubeconfig.ts';
import { PodCommandFailed } from './kubernetes/pod-command-failed.ts';
import { databaseFailure, DatabaseUnreachable } from './postgres/errors.ts';
import { CacheError, CacheUnreachable, forbiddenCodes } from './redis/errors.ts';
import { SecretMissing } from './secret.ts';

/** The world is neither where a mandate starts nor where it ends. Nothing was changed by the caller. */
export function stale(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, failureTypes.planStale);
}

/** The plan says that it must not be done; `message` says what to do instead. */
export function refused(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, failureTypes.refused);
}

/** Maps whatever an activity threw to a typed failure; failures that have a type stay as they are. */
export function toFailure(error: unknown): Error {
  if (error instanceof ApplicationFailure || error instanceof CancelledFailure) return error;
  if (error instanceof Error && error.name === 'AbortError') {
    return new CancelledFailure('The activity was cancelled.');
  }
  if (error instanceof SettingsError) {
    return ApplicationFailure.retryable(
      `The settings cannot be read, so nobody's authority can be told: ${error.message}`,
      failureTypes.settingsUnusable,
    );
  }
  if (error instanceof TokenError) return final(failureTypes.notAuthorized, error);
  if (error instanceof KubernetesUnreachable || error instanceof DatabaseUnreachable) {
    return retried(error);
  }
  if (error instanceof pg.DatabaseError) return databaseFailure(error);
  // Nothing that a retry of the same worker would find different.
  if (error instanceof KubeconfigError) return final(failureTypes.unreachable, error);
  if (error instanceof KubernetesError) return kubernetesFailure(error);
  if (error instanceof PodCommandFailed) return final(failureTypes.rejectedBySystem, error);
  if (error instanceof CacheUnreachable || error instanceof HttpUnreachable) {
    return retried(error, `${error.message}.`);
  }
  if (error instanceof CacheError) return cacheFailure(error);
  if (error instanceof HttpError) return httpFailure(error);
  if (error instanceof SecretMissing) return final(failureTypes.forbidden, error);
  if (isGrpcServiceError(error)) {
    return retried(error, `Temporal does not answer: ${error.details || error.message}.`);
  }
  return final(failureTypes.rejectedBySystem, error, `Unexpected error: ${messageOf(error)}`);
}

function kubernetesFailure(error: KubernetesError): ApplicationFailure {
  const said = `Kubernetes answers ${error.status}: ${error.message}`;
  if (error.status === 401) {
    return final(failureTypes.forbidden, error, `${said}. Renew the worker's credentials.`);
  }
  if (error.status === 403) {
    return final(
      failureTypes.forbidden,
      error,
      `${said}. Give the worker the role in ${roleFor(error)}.`,
    );
  }
  // Conflicts, throttling and a server that starts or changes its leader pass by themselves.
  if ([409, 429].includes(error.status) || error.status >= 500) return retried(error, said);
  return final(failureTypes.rejectedBySystem, error, said);
}

function cacheFailure(error: CacheError): ApplicationFailure {
  if (!forbiddenCodes.includes(error.code)) {
    return final(failureTypes.rejectedBySystem, error, `${error.message}.`);
  }
  return final(
    failureTypes.forbidden,
    error,
    `${error.message}. Renew the credentials of ${error.setting} in the worker's environment, or let its account delete keys.`,
  );
}

/** Messages of these name the secret to renew themselves. */
function httpFailure(error: HttpError): ApplicationFailure {
  if ([401, 403].includes(error.status)) return final(failureTypes.forbidden, error);
  return final(failureTypes.rejectedBySystem, error, `${error.message}.`);
}

/** Helm alone has to do with Secrets, and needs a role of its own. */
function roleFor({ message }: KubernetesError): string {
  const isHelm = message.includes('resource "secrets"');
  return isHelm ? 'deploy/kubernetes-role-helm.yaml' : 'deploy/kubernetes-role.yaml';
}

function retried(error: Error, message = error.message): ApplicationFailure {
  return ApplicationFailure.retryable(message, failureTypes.unreachable);
}

/** Whether a failure says that somebody does not answer. */
export function isUnreachable(failure: Error): boolean {
  return failure instanceof ApplicationFailure && failure.type === failureTypes.unreachable;
}

function final(type: FailureType, error: unknown, message = messageOf(error)): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, type);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
