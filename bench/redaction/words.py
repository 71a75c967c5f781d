"""Common given names, family names, towns, streets and invented companies, by language. This is data."""

from __future__ import annotations


def _list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


FIRST: dict[str, list[str]] = {
    "en": _list(
        "Oliver, Amelia, George, Emily, Harry, Isla, Jack, Sophie, Noah, Priya, Mohammed, Grace, Daniel, Aisha, Callum, Zoe"
    ),
    "de": _list(
        "Lukas, Hannah, Jonas, Mia, Felix, Anna, Paul, Lena, Emre, Sophie, Jürgen, Ursula, Matthias, Ayşe, Björn, Käthe"
    ),
    "fr": _list(
        "Lucas, Emma, Hugo, Chloé, Louis, Camille, Nathan, Inès, Jean-Pierre, Fatima, Étienne, Océane, Mathis, Zoé, Gérard, Aïcha"
    ),
    "it": _list(
        "Leonardo, Giulia, Francesco, Sofia, Alessandro, Martina, Lorenzo, Chiara, Niccolò, Elena, Giovanni, Fatou, Salvatore, Beatrice"
    ),
    "es": _list(
        "Hugo, Lucía, Martín, Sofía, Daniel, Martina, Pablo, Paula, José, Begoña, Álvaro, Carmen, Íñigo, Amina, Rubén, Noelia"
    ),
}
LAST: dict[str, list[str]] = {
    "en": _list(
        "Smith, Jones, Taylor, Brown, Williams, O'Connor, Patel, Khan, Wilson, Davies, Evans, Thompson, Okafor, McDonald, Hughes"
    ),
    "de": _list(
        "Müller, Schmidt, Schneider, Fischer, Weber, Yılmaz, Wagner, Becker, Groß, von Arnim, Hoffmann, Schäfer, Öztürk, Krüger, Nowak"
    ),
    "fr": _list(
        "Martin, Bernard, Dubois, Thomas, Robert, Lefèvre, Petit, Benali, Leroy, de La Tour, Moreau, Girard, N'Diaye, Lambert, Rousseau"
    ),
    "it": _list(
        "Rossi, Russo, Ferrari, Esposito, Bianchi, D'Angelo, Romano, Colombo, De Luca, Ricci, Hoxha, Marino, Greco, Conti, Lombardi"
    ),
    "es": _list(
        "García, Fernández, González, Rodríguez, López, Muñoz, Martínez, Sánchez, de la Cruz, Pérez, Gómez, Ibáñez, Ruiz, Bouzid, Ortega"
    ),
}
CITIES: dict[str, list[str]] = {
    "en": _list(
        "London, Manchester, Bristol, Leeds, Glasgow, Cardiff, Norwich, Boston, Chicago, Milton Keynes, York, Reading"
    ),
    "de": _list(
        "Berlin, München, Köln, Leipzig, Zürich, Frankfurt am Main, Bad Homburg, Kiel, Görlitz, Wien, Essen, Bern"
    ),
    "fr": _list(
        "Paris, Lyon, Marseille, Nantes, Saint-Étienne, Genève, Rennes, Aix-en-Provence, Lille, Tours, Nice, Besançon"
    ),
    "it": _list(
        "Roma, Milano, Napoli, Torino, Reggio Emilia, Bari, Lugano, Forlì, Verona, Prato, L'Aquila, Trieste"
    ),
    "es": _list(
        "Madrid, Barcelona, Valencia, Sevilla, A Coruña, Bilbao, Málaga, Las Palmas, León, Cádiz, San Sebastián, Toledo"
    ),
}
STREETS: dict[str, list[str]] = {
    "en": _list(
        "High Street, Station Road, Church Lane, Park Avenue, Mill Close, Queen Victoria Terrace, Elm Drive, Kings Way"
    ),
    "de": _list(
        "Hauptstraße, Goethestr., Am Alten Markt, Bahnhofsallee, Kleine Gasse, Lindenweg, Unter den Eichen, Schillerplatz"
    ),
    "fr": _list(
        "rue de la République, avenue Victor Hugo, boulevard Saint-Michel, place des Vosges, chemin du Moulin, quai Voltaire"
    ),
    "it": _list(
        "via Garibaldi, viale dei Mille, piazza del Duomo, corso Vittorio Emanuele, via della Repubblica, largo Augusto"
    ),
    "es": _list(
        "calle Mayor, avenida de América, plaza de España, paseo del Prado, calle San Juan, ronda de Toledo"
    ),
}
ORGANISATIONS: dict[str, list[str]] = {
    "en": _list(
        "Northbridge Bank plc, Harlow & Sons Ltd, Meridian Insurance, St Anne's Hospital, Tarnfield Council, Oakline Energy"
    ),
    "de": _list(
        "Nordbank AG, Hartmann Maschinenbau GmbH, Allgäuer Kasse, Klinikum Süd, Stadtwerke Lindau, Rheinwerk SE"
    ),
    "fr": _list(
        "Banque du Midi, Assurances Valmont, Mutuelle Bretonne, Hôpital Sainte-Anne, Ferrand SARL, Énergies du Rhône SA"
    ),
    "it": _list(
        "Banca Adriatica S.p.A., Assicurazioni Tirrene, Officine Bellini Srl, Ospedale San Luca, Energia Veneta, Comune di Arona"
    ),
    "es": _list(
        "Banco Cantábrico S.A., Seguros Levante, Talleres Ferrer S.L., Hospital del Mar Azul, Energías Duero, Mutua Norteña"
    ),
}
MONTHS: dict[str, list[str]] = {
    "en": _list(
        "January, February, March, April, May, June, July, August, September, October, November, December"
    ),
    "de": _list(
        "Januar, Februar, März, April, Mai, Juni, Juli, August, September, Oktober, November, Dezember"
    ),
    "fr": _list(
        "janvier, février, mars, avril, mai, juin, juillet, août, septembre, octobre, novembre, décembre"
    ),
    "it": _list(
        "gennaio, febbraio, marzo, aprile, maggio, giugno, luglio, agosto, settembre, ottobre, novembre, dicembre"
    ),
    "es": _list(
        "enero, febrero, marzo, abril, mayo, junio, julio, agosto, septiembre, octubre, noviembre, diciembre"
    ),
}
