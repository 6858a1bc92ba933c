import './monaco.js';
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import 'graphiql/graphiql.css';
import './theme.css';

import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import { defaultHeaders, examples } from './examples.js';
import { fetcher } from './fetcher.js';

globalThis.MonacoEnvironment = {
  getWorker: (_id, name) => new Worker(WORKER, { name }),
};

// GraphiQL fills the first tab's query in by itself, but takes its variables from here. What a person left is stored.
const firstVisit = localStorage.getItem('graphiql:tabState') === null;

// Headers hold a person's token: they are kept beyond the page only after it was chosen in the settings.
const keepsHeaders = localStorage.getItem('graphiql:shouldPersistHeaders') === 'true';

createRoot(document.getElementById('playground')).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={examples}
    defaultHeaders={defaultHeaders}
    initialVariables={firstVisit ? examples[0].variables : undefined}
    defaultEditorToolsVisibility="variables"
    shouldPersistHeaders={keepsHeaders}
    showPersistHeadersSettings
  >
    <GraphiQL.Logo>
      <span className="tidings-logo">
        <img src={MARK} alt="" />
        Tidings
      </span>
    </GraphiQL.Logo>
  </GraphiQL>,
);
